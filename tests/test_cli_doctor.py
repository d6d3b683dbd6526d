"""The doctor: a whole installation is healthy, and each illness is named with its cure."""

import pytest
from cli_kit import omni
from omnipatch.core import compat, doctor


def findings(done) -> dict[str, str]:
    return {line.split()[1]: line.split()[0] for line in done.out.splitlines()[1:]}


def test_a_whole_installation_is_healthy():
    done = omni("doctor")
    assert done.code == 0, done.out
    assert findings(done)["torch"] == "ok"
    assert "modality ecg" in done.out
    assert "GiB free" in done.out


def test_a_missing_package_is_a_problem(monkeypatch):
    monkeypatch.setattr(doctor, "_required", lambda: ["torch", "no-such-package"])
    done = omni("doctor")
    assert done.code == 1
    assert "not installed; pip install no-such-package" in done.out


def test_a_malicious_release_is_a_problem(monkeypatch):
    monkeypatch.setattr(doctor, "version", lambda name: "2.6.3" if name == "lightning" else "1.0")
    done = omni("doctor")
    assert done.code == 1
    assert "2.6.3 is a malicious release" in done.out


def test_data_that_is_not_there(monkeypatch, tmp_path):
    monkeypatch.setenv("OMNIPATCH_DATA", str(tmp_path / "none"))
    done = omni("doctor")
    assert done.code == 1
    assert "which is no folder" in " ".join(done.out.split())  # the table breaks lines after long paths
    monkeypatch.setenv("OMNIPATCH_DATA", str(tmp_path))
    assert omni("doctor").code == 0


@pytest.mark.parametrize(("state", "word"), [("absent", "only needed for speech"), ("stub", "built for another torch")])
def test_torchaudio_in_each_state(monkeypatch, state, word):
    monkeypatch.setattr(compat, "ensure_torchaudio", lambda: state)
    done = omni("doctor")
    assert done.code == 0
    assert word in done.out


def test_a_broken_torchaudio_is_a_problem(monkeypatch):
    def broken():
        raise OSError("libcudart.so: cannot open shared object file")

    monkeypatch.setattr(compat, "ensure_torchaudio", broken)
    done = omni("doctor")
    assert done.code == 1
    assert "pip uninstall torchaudio" in done.out


def test_requirements_without_extras():
    names = doctor._required()
    assert {"torch", "lightning", "numpy"} <= set(names)
    assert not {"wfdb", "pytest", "tensorboard"} & set(names)
