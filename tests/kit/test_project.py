"""What a probe says of an exception in a student's project."""

import sys

import pytest
import torch

from autograder.evidence import read_failure
from autograder.probe.project import Project
from coursekit.errors import NO_GPU


@pytest.mark.parametrize(
    ("encoding", "named"),
    [("utf-16", "UTF-16"), ("utf-16-le", "UTF-16"), ("utf-16-be", "UTF-16"), ("utf-32", "UTF-32")],
)
def test_a_file_in_wide_characters_is_named_with_its_encoding(tmp_path, monkeypatch, encoding, named):
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "VAE").mkdir()
    (tmp_path / "VAE" / "wide_model.py").write_bytes("import os\nx = 1\n".encode(encoding))
    project = Project(tmp_path, "VAE")
    with pytest.raises((SyntaxError, ValueError)) as caught:
        project.get("wide_model", "VAE")
    sentence = read_failure(project.describe(caught.value)).sentence()
    said = f"the file is in {named}, which Python can't read: save it as UTF-8"
    assert sentence == f"VAE/wide_model.py:1: your code stops with {type(caught.value).__name__}: {said}"


@pytest.mark.parametrize("call", ["torch.zeros(1).cuda()", "torch.zeros(1, device='cuda')"])
@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_code_that_asks_for_a_gpu_by_name_reads_what_to_write_instead(tmp_path, monkeypatch, call):
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "VAE").mkdir()
    (tmp_path / "VAE" / "needs_gpu.py").write_text(
        f"import torch\n\n\nclass Noise:\n    def __init__(self):\n        self.z = {call}\n"
    )
    project = Project(tmp_path, "VAE")
    with pytest.raises((RuntimeError, AssertionError)) as caught:
        project.get("needs_gpu", "Noise")()
    project.forget()
    assert read_failure(project.describe(caught.value)).sentence() == f"VAE/needs_gpu.py:6: {NO_GPU}"
