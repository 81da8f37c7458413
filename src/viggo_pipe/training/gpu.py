"""What a GPU allows to be done faster, each with one clear line where it does not."""

import torch


def has_gpu(otherwise: str) -> bool:
    """Whether there is a CUDA GPU; `otherwise` says what is done without one, and is printed then."""
    if not torch.cuda.is_available():
        print(f"{otherwise}, for there is no CUDA GPU here", flush=True)
    return torch.cuda.is_available()


def has_float8() -> bool:
    """Whether the GPU multiplies in float8; a line says so if it does not."""
    if not has_gpu("train.float8: products are in 16 bits"):
        return False
    major, minor = torch.cuda.get_device_capability()
    if (major, minor) < (8, 9):
        print(
            f"train.float8: products are in 16 bits, for this GPU has compute capability {major}.{minor}, "
            "below 8.9",
            flush=True,
        )
    return (major, minor) >= (8, 9)
