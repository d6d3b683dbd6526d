"""What a user sees: every text as it is."""

from __future__ import annotations

from omnipatch.core.console import Voice


def test_brackets_are_no_markup(capsys):
    voice = Voice()
    voice.step("1/2 clip[raw].npz")
    voice.table(("id [name]", "score"), [("[rec]", "0.1234"), ("[/x] 2", "0.1000")])
    said = capsys.readouterr()
    assert "clip[raw].npz" in said.err
    for text in ("id [name]", "[rec]", "[/x] 2"):
        assert text in said.out
