"""Names of NTU RGB+D clips and what they say: setup, camera, person, take and action (S001C002P003R002A013)."""

from __future__ import annotations

import re
from dataclasses import dataclass

# A001 to A120; the first 60 are those of NTU RGB+D, the others came with NTU RGB+D 120
ACTIONS = (
    "drink_water", "eat_meal", "brush_teeth", "brush_hair", "drop", "pick_up", "throw", "sit_down", "stand_up",
    "clapping", "reading", "writing", "tear_up_paper", "put_on_jacket", "take_off_jacket", "put_on_shoe",
    "take_off_shoe", "put_on_glasses", "take_off_glasses", "put_on_hat", "take_off_hat", "cheer_up", "hand_waving",
    "kicking_something", "reach_into_pocket", "hopping", "jump_up", "phone_call", "play_with_phone", "type_on_keyboard",
    "point_to_something", "take_selfie", "check_time", "rub_hands", "nod_head", "shake_head", "wipe_face", "salute",
    "put_palms_together", "cross_hands_in_front", "sneeze_or_cough", "staggering", "falling_down", "headache",
    "chest_pain", "back_pain", "neck_pain", "vomiting", "fan_self", "punch_person", "kick_person", "push_person",
    "pat_on_back", "point_finger", "hugging", "giving_object", "touch_pocket", "shaking_hands", "walking_towards",
    "walking_apart", "put_on_headphone", "take_off_headphone", "shoot_at_basket", "bounce_ball", "tennis_bat_swing",
    "juggle_table_tennis_ball", "hush", "flick_hair", "thumb_up", "thumb_down", "make_ok_sign", "make_victory_sign",
    "staple_book", "counting_money", "cutting_nails", "cutting_paper", "snap_fingers", "open_bottle", "sniff",
    "squat_down", "toss_coin", "fold_paper", "ball_up_paper", "play_magic_cube", "apply_cream_on_face",
    "apply_cream_on_hand", "put_on_bag", "take_off_bag", "put_object_into_bag", "take_object_out_of_bag", "open_box",
    "move_heavy_objects", "shake_fist", "throw_up_hat", "capitulate", "cross_arms", "arm_circles", "arm_swings",
    "run_on_the_spot", "butt_kicks", "cross_toe_touch", "side_kick_in_air", "yawn", "stretch_oneself", "blow_nose",
    "hit_with_object", "wield_knife", "knock_over", "grab_stuff", "shoot_with_gun", "step_on_foot", "high_five",
    "cheers_and_drink", "carry_object", "take_photo", "follow", "whisper", "exchange_things", "support_somebody",
    "rock_paper_scissors",
)  # fmt: skip
# of the cross-subject test of NTU RGB+D 120; up to 40 they are those of NTU RGB+D
_TRAINING_PEOPLE = frozenset(
    (
        1, 2, 4, 5, 8, 9, 13, 14, 15, 16, 17, 18, 19, 25, 27, 28, 31, 34, 35, 38,
        45, 46, 47, 49, 50, 52, 53, 54, 55, 56, 57, 58, 59, 70, 74, 78, 80, 81, 82, 83, 84, 85, 86, 89,
        91, 92, 93, 94, 95, 97, 98, 100, 103,
    )
)  # fmt: skip
_NAME = re.compile(r"S(\d{3})C(\d{3})P(\d{3})R(\d{3})A(\d{3})")


@dataclass(frozen=True)
class NTUName:
    """setup, camera, person, take, action: numbers from 1."""

    setup: int
    camera: int
    person: int
    take: int
    action: int

    @property
    def subject(self) -> str:
        return f"P{self.person:03d}"

    @property
    def label(self) -> str:
        return ACTIONS[self.action - 1]

    def side(self, test: str) -> str:
        """ "train" or "test" in the test "xsub" (people), "xview" (cameras) or "xset" (setups)."""
        trains = {
            "xsub": self.person in _TRAINING_PEOPLE,
            "xview": self.camera in (2, 3),
            "xset": self.setup % 2 == 0,
        }
        return "train" if trains[test] else "test"


def parse_name(name: str) -> NTUName | None:
    """What a clip's name says, None for another name or an action beyond 120."""
    found = _NAME.fullmatch(name)
    if found is None or not 1 <= int(found[5]) <= len(ACTIONS):
        return None
    return NTUName(*map(int, found.groups()))
