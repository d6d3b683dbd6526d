"""The command line: parsing, dispatch and exit codes. Nothing heavy is imported before a verb needs it.

    exit 0   done
    exit 1   a failure while working (collapse, full disk, ...)
    exit 2   bad input or configuration
    exit 130, 143   stopped by SIGINT, SIGTERM

Any error is one sentence on stderr; `--debug` adds the traceback. Options that a verb does not know are overrides of
the recipe (`--encoder.width 384`).
"""

from __future__ import annotations

import argparse
import difflib
import os
import signal
import sys
import warnings
from collections.abc import Callable, Sequence
from typing import NoReturn

from .cli_verbs import VERBS, Verb
from .errors import InputError, OmnipatchError, nearest

_EPILOG = """\
examples:
  omnipatch run ecg-jepa                                    the whole story on embedded demo data
  omnipatch run ecg-jepa --data.name mitdb --data.root DIR  on a public data set
  omnipatch run ecg-jepa --data.manifest my.csv             on your own files
  omnipatch run ecg-jepa --dry-run --encoder.width 384      parameters, tokens and memory; writes nothing

RECIPE is a shipped name (see `omnipatch recipes`) or a YAML file. Any key of it can be set as --section.key VALUE.
`omnipatch VERB --help` explains a verb."""


_KEYS = """

Every key of a recipe is an option as well, --section.key VALUE (--data.name, --trainer.max_steps, ...):
docs/options.md lists them, --print-config shows what they are."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise InputError(message, fix=f"see {self.prog} --help")


def build_parser() -> tuple[argparse.ArgumentParser, dict[str, argparse.ArgumentParser]]:
    """The parser and those of its verbs by name."""
    top = _Parser(
        prog="omnipatch",
        description="Self-supervised pretraining, evaluation and reports for signals that are not images.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    top.add_argument("--version", action="store_true", help="print the version")
    verbs = top.add_subparsers(dest="verb", metavar="VERB", title="verbs", parser_class=_Parser)
    parsers = {}
    for name, verb in VERBS.items():
        parser = verbs.add_parser(
            name,
            help=verb.help,
            description=verb.help[0].upper() + verb.help[1:] + ".",
            epilog=f"example:\n  {verb.example}" + (_KEYS if verb.takes_recipe else ""),
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        for flags, options in verb.arguments:
            parser.add_argument(*flags, **options)
        parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
        parser.add_argument("-q", "--quiet", action="store_true", help="print results and errors only")
        parsers[name] = parser
    return top, parsers


def split_overrides(arguments: Sequence[str], parser: argparse.ArgumentParser) -> tuple[list[str], list[str]]:
    """(arguments the verb knows, overrides of the recipe)."""
    known, own, overrides = parser._option_string_actions, [], []
    rest = list(arguments)
    while rest:
        argument = rest.pop(0)
        if not argument.startswith("--") or argument == "--" or argument.partition("=")[0] in known:
            own.append(argument)
            continue
        overrides.append(argument)
        if "=" not in argument and rest and not rest[0].startswith("--") and rest[0] not in known:
            overrides.append(rest.pop(0))
    return own, overrides


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Entry point of the console script."""
    sys.exit(execute(list(sys.argv[1:] if arguments is None else arguments)))


def execute(arguments: list[str]) -> int:
    """Run one command line and return its exit code."""
    debug = "--debug" in arguments
    previous = signal.signal(signal.SIGTERM, _terminate)
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning
            return _dispatch(arguments)
    except OmnipatchError as error:
        return _fail(error, error.exit_code, debug)
    except KeyboardInterrupt as error:
        more = "; continue a pretraining with --resume" if arguments[0] in ("pretrain", "run") else ""
        return _fail(OmnipatchError(f"stopped{more}"), _signal_code(error), debug)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        reason = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        return _fail(error, 1, debug, f"internal error, {reason}; run again with --debug for the traceback")
    finally:
        signal.signal(signal.SIGTERM, previous)


def _dispatch(arguments: list[str]) -> int:
    parser, verbs = build_parser()
    if not arguments or arguments[0] in ("-h", "--help"):
        parser.print_help()
        return 0
    if arguments[0] == "--version":
        from importlib.metadata import version

        print(f"omnipatch {version('omnipatch')}")
        return 0
    name = arguments[0]
    if name not in VERBS:
        known, what = (["--help", "--version"], "option") if name.startswith("-") else (VERBS, "verb")
        raise InputError(f"unknown {what} {name!r}", fix=nearest(name, known))
    own, overrides = split_overrides(arguments[1:], verbs[name])
    verb: Verb = VERBS[name]
    _refuse_typos(name, overrides, verbs[name], may_override=verb.overrides)
    try:
        given = verbs[name].parse_args(own)
    except SystemExit as stop:  # --help
        return int(stop.code or 0)
    action: Callable[[argparse.Namespace, list[str]], int | None] = verb.load()
    return action(given, overrides) or 0


def _refuse_typos(verb: str, overrides: Sequence[str], parser: argparse.ArgumentParser, *, may_override: bool) -> None:
    """An option that no recipe has, but for a slip this verb has: `--dry-rn`. Other unknown keys the recipe names."""
    known = [flag for flag in parser._option_string_actions if flag.startswith("--")]
    for option in (text.partition("=")[0] for text in overrides if text.startswith("--")):
        near = "." not in option and difflib.get_close_matches(option, known, n=1, cutoff=0.75)
        if not may_override or (near and option.removeprefix("--") not in _recipe_keys()):
            raise InputError(f"unknown option {option} of {verb}", fix=nearest(option, known))


def _recipe_keys() -> set[str]:
    from dataclasses import fields

    from .config import Recipe

    return {field.name for field in fields(Recipe)}


def _fail(error: BaseException, code: int, debug: bool, sentence: str | None = None) -> int:
    if debug:
        import traceback

        traceback.print_exception(error)
    text = " ".join((sentence or str(error)).split())
    print(f"omnipatch: {text}", file=sys.stderr)
    return code


def _show_warning(message: Warning | str, *context: object) -> None:
    """What goes on in spite of something is one line too, without the place in our code."""
    print(f"omnipatch warns: {' '.join(str(message).split())}", file=sys.stderr)


class _Terminated(KeyboardInterrupt):
    """SIGTERM outside of training; inside, the training room saves a checkpoint first."""


def _terminate(number: int, frame: object) -> None:
    raise _Terminated


def _signal_code(error: KeyboardInterrupt) -> int:
    return 128 + (signal.SIGTERM if isinstance(error, _Terminated) else signal.SIGINT)
