"""Contract: what the class itself promises, before any signal."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import json
import math
import pickle
import textwrap

from ..modality import API_VERSION
from ..sequence import SequenceSpec
from ..settings_check import build_section
from ..settings_yaml import Located
from .case import Case
from .checks import check, expect, need
from .compare import sequence_difference


@check(fix='set `name = "gait"` on the class, the name of its entry point')
def name_is_an_identifier(case: Case) -> None:
    name = getattr(case.modality, "name", None)
    good = isinstance(name, str) and name.isidentifier() and name == name.lower()
    expect(
        good,
        got=f"name {name!r}",
        expected="a lower-case identifier",
    )


@check(fix="inherit it from Modality, or port the adapter to this version of the contract")
def api_version_is_current(case: Case) -> None:
    version = case.modality.api_version
    expect(
        version == API_VERSION,
        got=f"api_version {version!r}",
        expected=API_VERSION,
    )


@check(fix="decorate it with @dataclass(frozen=True) and set `Config = ...` on the class")
def config_is_a_frozen_dataclass(case: Case) -> None:
    config = type(case.modality.config)
    frozen = dataclasses.is_dataclass(config) and config.__dataclass_params__.frozen  # type: ignore[attr-defined]
    expect(
        frozen and config is case.modality.Config,
        got=f"config of type {config.__name__}",
        expected="an instance of the class's own frozen dataclass `Config`",
    )


@check(fix="give each field the value a newcomer should start with")
def config_has_defaults(case: Case) -> None:
    config = case.modality.Config
    need(dataclasses.is_dataclass(config), "Config is no dataclass")
    missing = dataclasses.MISSING
    bare = [f.name for f in dataclasses.fields(config) if f.default is missing and f.default_factory is missing]
    expect(not bare, got=f"config fields without a default: {', '.join(bare)}", expected="a default for each")


@check(fix="say behind each field what it means and in which unit")
def config_fields_have_comments(case: Case) -> None:
    config = case.modality.Config
    need(dataclasses.is_dataclass(config), "Config is no dataclass")
    try:
        lines = textwrap.dedent(inspect.getsource(config)).splitlines()
    except (OSError, TypeError):
        need(False, "the source of Config is not available")
        return
    fields = [node for node in ast.parse("\n".join(lines)).body[0].body if isinstance(node, ast.AnnAssign)]  # type: ignore[attr-defined]
    bare = [
        ast.unparse(node.target)
        for node in fields
        if "#" not in lines[(node.end_lineno or node.lineno) - 1]
        and not lines[node.lineno - 2].lstrip().startswith("#")
    ]
    expect(not bare, got=f"config fields without a comment: {', '.join(bare)}", expected="a comment for each")


@check(fix="use numbers, text, booleans and tuples of them, with their exact types in the annotations")
def config_survives_json(case: Case) -> None:
    config = case.modality.config
    need(dataclasses.is_dataclass(config), "Config is no dataclass")
    try:
        plain = json.loads(json.dumps(dataclasses.asdict(config)))
    except TypeError as error:
        plain, problem = None, str(error)
    else:
        problem = ""
    expect(not problem, got=f"a config that JSON cannot hold ({problem})", expected="plain data")
    back = build_section(case.modality.Config, plain, "modality", Located())
    expect(back == config, got=f"{back} after saving and loading", expected=config)


@check(fix="name fields of Config, such as `aliases`")
def reading_options_are_config_fields(case: Case) -> None:
    config = case.modality.Config
    need(dataclasses.is_dataclass(config), "Config is no dataclass")
    known = {f.name for f in dataclasses.fields(config)}
    unknown = [name for name in case.modality.reading_options if name not in known]
    expect(not unknown, got=f"reading_options that name no field: {', '.join(unknown)}", expected="fields of Config")


@check(fix="keep every setting of the preprocessing in the config and no state on the adapter")
def preprocessing_is_in_the_config(case: Case) -> None:
    used, new = case.fresh(), case.fresh()
    used.windows(case.recording(5))  # what an adapter learns from data must not reach later windows
    used_row, new_row = (m.patchify(m.windows(case.recording())[0]) for m in (used, new))
    found = sequence_difference(used_row, new_row)
    expect(
        not found,
        got=f"{found} from a new adapter and from one that was used",
        expected="the same patches for the same config",
    )


@check(fix="compute it from the config alone")
def spec_is_static(case: Case) -> None:
    spec, again = case.modality.spec, case.fresh().spec
    expect(
        isinstance(spec, SequenceSpec) and spec == case.modality.spec == again,
        got=f"spec {spec} and then {again}",
        expected="one SequenceSpec for each configuration",
    )


@check(fix="use tuples and Python's own int, float and str in the spec, no lists or numpy numbers")
def spec_survives_json(case: Case) -> None:
    plain = dataclasses.asdict(case.modality.spec)
    tuples = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in json.loads(json.dumps(plain, default=repr)).items()
    }
    back = SequenceSpec(**tuples)  # type: ignore[arg-type]
    expect(back == case.modality.spec, got=f"{back} after saving and loading", expected=case.modality.spec)


@check(fix="correct SequenceSpec(...) in `spec`")
def spec_is_sensible(case: Case) -> None:
    spec = case.modality.spec
    expect(
        spec.axes and len(set(spec.axes)) == len(spec.axes),
        got=f"axes {spec.axes}",
        expected="at least one axis, each with a name of its own",
    )
    expect(
        all(math.isfinite(s) and s > 0 for s in spec.axis_scales),
        got=f"axis_scales {spec.axis_scales}",
        expected="a positive distance for each axis",
    )
    expect(
        spec.kinds and len(set(spec.kinds)) == len(spec.kinds),
        got=f"kinds {spec.kinds}",
        expected="at least one token type, each with a name of its own",
    )
    sizes = spec.vocabulary or spec.patch_shape
    expect(
        sizes and all(isinstance(n, int) and n > 0 for n in sizes),
        got=f"sizes {sizes}",
        expected="positive whole numbers in patch_shape or vocabulary",
    )
    expect(
        spec.sfreq_hz is None or spec.sfreq_hz > 0,
        got=f"sfreq_hz {spec.sfreq_hz}",
        expected="a positive rate, or None for data without one",
    )


@check(fix="put time first: spans are hidden and events are placed along it")
def first_axis_of_a_signal_is_time(case: Case) -> None:
    spec = case.modality.spec
    need(spec.sfreq_hz is not None, "the patches have no sampling rate")
    expect(
        spec.axes[0].endswith("_s"),
        got=f"first axis {spec.axes[0]!r} of patches with a sampling rate",
        expected="an axis in seconds such as 'time_s'",
    )


@check(fix="keep open files, locks and lambdas out of the adapter")
def adapter_can_be_pickled(case: Case) -> None:
    copy = pickle.loads(pickle.dumps(case.modality))
    found = sequence_difference(case.row, copy.patchify(copy.windows(case.recording())[0]))
    expect(not found, got=f"{found} after pickling", expected="the same patches from a copy in another process")
