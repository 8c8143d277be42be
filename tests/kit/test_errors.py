"""What the user can mend ends in one line; what code says that asks for a GPU by name is explained."""

import pytest
import torch

from coursekit.errors import NO_GPU, NO_PROBABILITIES, TWO_DEVICES, explain_cuda, one_line_errors

# As torch says it: built without CUDA, without a driver, with an old one, with none to see, in a forked process.
WITHOUT_A_GPU = [
    "Torch not compiled with CUDA enabled",
    "Torch not compiled with XPU enabled",
    "Found no NVIDIA driver on your system. Please check that you have an NVIDIA GPU and installed a driver from http://",
    "The NVIDIA driver on your system is too old (found version 11040). Please update your GPU driver",
    "No CUDA GPUs are available",
    "CUDA error: no CUDA-capable device is detected\nCUDA kernel errors might be asynchronously reported",
    "CUDA error: CUDA driver version is insufficient for CUDA runtime version",
    "CUDA driver initialization failed, you might not have a CUDA gpu.",
    "Unexpected error from cudaGetDeviceCount(). Did you run some cuda functions before calling NumCudaDevices()",
    "Cannot re-initialize CUDA in forked subprocess. To use CUDA with multiprocessing, you must use the 'spawn' start",
    "Attempting to deserialize object on a CUDA device but torch.cuda.is_available() is False.",
    "type torch.cuda.FloatTensor not available. Torch not compiled with CUDA enabled.",
    "Could not run 'aten::empty.memory_format' with arguments from the 'CUDA' backend.",
    "PyTorch is not linked with support for mps devices",
]
MIXED = [
    "Expected all tensors to be on the same device, but found at least two devices, cuda:0 and cpu!",
    "Expected all tensors to be on the same device, but got mat1 is on cpu, different from other tensors on cuda:0",
    "Input type (torch.cuda.FloatTensor) and weight type (torch.FloatTensor) should be the same",
    "Input type (torch.FloatTensor) and weight type (torch.cuda.FloatTensor) should be the same",
]
OTHERS = [
    "CUDA out of memory. Tried to allocate 20.00 MiB",
    "CUDA error: device-side assert triggered",
    "mat1 and mat2 shapes cannot be multiplied (4x7 and 64x64)",
    "Input type (torch.DoubleTensor) and weight type (torch.FloatTensor) should be the same",
    "",
]


@pytest.mark.parametrize("message", WITHOUT_A_GPU)
def test_a_gpu_that_is_not_there_is_explained(message):
    assert explain_cuda(RuntimeError(message)) == NO_GPU


@pytest.mark.parametrize("message", MIXED)
def test_tensors_on_two_devices_are_explained(message):
    assert explain_cuda(RuntimeError(message)) == TWO_DEVICES


@pytest.mark.parametrize("message", OTHERS)
def test_other_errors_speak_for_themselves(message):
    assert explain_cuda(RuntimeError(message)) is None


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
@pytest.mark.parametrize(
    "ask",
    [
        lambda: torch.zeros(1).cuda(),
        lambda: torch.zeros(1, device="cuda"),
        lambda: torch.zeros(1).to("cuda:0"),
        lambda: torch.nn.Linear(2, 2).to(torch.device("cuda")),
        lambda: torch.Generator("cuda"),
        lambda: torch.cuda.current_device(),
    ],
)
def test_every_way_to_ask_for_one_is_recognised(ask):
    with pytest.raises((RuntimeError, AssertionError)) as caught:
        ask()
    assert explain_cuda(caught.value) == NO_GPU


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (AssertionError("Torch not compiled with CUDA enabled"), NO_GPU),
        (RuntimeError("Found no NVIDIA driver on your system."), NO_GPU),
        (TypeError("type torch.cuda.FloatTensor not available"), NO_GPU),
        (RuntimeError("all elements of input should be between 0 and 1"), NO_PROBABILITIES),
    ],
)
def test_main_shows_where_and_ends_in_one_line(error, line, capsys):
    with pytest.raises(SystemExit) as ended, one_line_errors("main.py"):
        raise error
    shown = capsys.readouterr().err.splitlines()
    assert ended.value.code == 1 and shown[0].startswith("Traceback") and shown[-1] == f"main.py: {line}"


@pytest.mark.parametrize("error", [RuntimeError("shapes"), AssertionError("shapes"), TypeError("shapes")])
def test_a_bug_keeps_its_traceback(error):
    with pytest.raises(type(error), match="shapes"), one_line_errors("main.py"):
        raise error
