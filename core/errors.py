"""The errors a user can meet, each one sentence that says file, field, got, expected and the fix.

The command line turns them into one line on stderr and an exit code: 2 for bad input or configuration
(`InputError`), 1 for a failure while working (`OmnipatchError`).
"""

from __future__ import annotations

from pathlib import Path


class OmnipatchError(Exception):
    """A failure while working (exit code 1)."""

    exit_code = 1


class CollapseError(OmnipatchError):
    """Training stopped because a monitored representation has collapsed."""


class NonFiniteError(OmnipatchError):
    """Training stopped because a loss or gradient is not finite; the message names the records of the batch."""


class InputError(OmnipatchError, ValueError):
    """Bad input or configuration (exit code 2).

    Parameters
    ----------
    what: what is wrong, in words.
    source: the file, key or argument it was found in.
    field: the part of the source.
    got, expected: the offending value and what was expected instead.
    fix: what the user can do.
    """

    exit_code = 2

    def __init__(
        self,
        what: str,
        *,
        source: object = None,
        field: str | None = None,
        got: object = None,
        expected: object = None,
        fix: str | None = None,
    ) -> None:
        self.what, self.source, self.field = what, source, field
        self.got, self.expected, self.fix = got, expected, fix
        super().__init__(self._sentence())

    def _sentence(self) -> str:
        parts = [f"{self.source}: {self.what}" if self.source is not None else self.what]
        if self.field is not None:
            parts.append(f"field {self.field}")
        if self.got is not None:
            parts.append(f"got {_short(self.got)}")
        if self.expected is not None:
            parts.append(f"expected {_short(self.expected)}")
        sentence = ", ".join(parts)
        return f"{sentence}; {self.fix}" if self.fix else sentence

    def __reduce__(self):  # keyword-only arguments do not survive the default pickling of exceptions
        return (_rebuild, (type(self), self.what, self.source, self.field, self.got, self.expected, self.fix))


class CorruptFileError(InputError):
    """A recording that cannot be read: truncated, mutated, wrong format or implausible."""


class SplitError(InputError):
    """A split that would leak: no subjects, or a subject on both sides."""


def _rebuild(cls, what, source, field, got, expected, fix):
    return cls(what, source=source, field=field, got=got, expected=expected, fix=fix)


def _short(value: object, limit: int = 120) -> str:
    text = str(value) if isinstance(value, str | Exception) else repr(value)
    return text if len(text) <= limit else text[: limit - 1] + "…"


def wrong_layout(root: Path, name: str, got: str, expected: str) -> InputError:
    """The error for a folder that does not hold what a data set's reader needs."""
    if not root.is_dir():
        return InputError(
            f"no folder for data set {name}", source=root, fix="give --data.root, or set OMNIPATCH_DATA to its parent"
        )
    return InputError(f"wrong layout for data set {name}", source=root, got=got, expected=expected)


def damaged(path: Path, got: object) -> CorruptFileError:
    """The error for a file that this package wrote and cannot read back."""
    return CorruptFileError(
        "cannot be read", source=path, got=str(got), fix="it is damaged or cut short: copy it again, or repeat the run"
    )


def not_utf8(path: Path, error: UnicodeDecodeError) -> CorruptFileError:
    """The error for a text file in another encoding; names the line where that shows. Spreadsheets write such."""
    line = ""
    try:
        if path.suffix != ".gz":
            path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as found:
        line = f":{found.object[: found.start].count(10) + 1}"
    return CorruptFileError(
        "cannot be read as text", source=f"{path}{line}", got=error.reason, expected="UTF-8",
        fix="save it as UTF-8 CSV",
    )  # fmt: skip


def first_line(error: BaseException) -> str:
    """Kind and first line of a foreign exception: libraries that load models raise whole pages."""
    return f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"


def nearest(name: str, known) -> str:
    """A hint such as `did you mean 'width'?`, or the list of known names when none is close."""
    import difflib

    known = sorted(known)
    plain = {each.lower(): each for each in known}  # a name in capitals is as near as can be
    close = difflib.get_close_matches(name.lower(), plain, n=1, cutoff=0.5)
    return f"did you mean {plain[close[0]]!r}?" if close else f"known names: {', '.join(known)}"
