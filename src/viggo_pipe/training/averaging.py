"""The average of adapters, in an adapter that peft alone can load.

Wortsman et al. 2022 (arXiv:2203.05482) average weights. Of an adapter it is the update B A that is averaged,
exactly: the factors of the members stand side by side in those of the soup, whose rank is the sum of theirs.
A lower rank is the best approximation of that (Eckart and Young 1936).
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import torch
from peft import PeftModel, get_peft_model_state_dict, set_peft_model_state_dict
from torch.nn import functional

from viggo_pipe.models.adapter import DEFAULT


def average_adapters(
    model: PeftModel, members: Sequence[dict[str, torch.Tensor]], rank: int | None = None, name: str = DEFAULT
) -> None:
    """Make the mean of the updates of `members`, peft's state dicts of adapters like that of `model`, its
    adapter `name`.

    Args:
        rank: of the new adapter; null, or more than the sum of the members' ranks: that sum, and the mean is
            exact.
        name: `DEFAULT`: in the place of the adapter that `model` has; another one: beside it.
    """
    configs: dict[str, Any] = model.peft_config
    config = configs[DEFAULT]
    names = [f"member-{index}" for index in range(len(members))]
    for member, weights in zip(names, members, strict=True):
        model.add_adapter(member, config)
        set_peft_model_state_dict(model, weights, adapter_name=member)
    if name in model.peft_config:
        model.set_adapter(names[0])
        model.delete_adapter(name)
    model.add_weighted_adapter(names, [1 / len(names)] * len(names), name, combination_type="cat")
    # peft joins the members' lists, one behind the other.
    configs[name].target_modules = config.target_modules
    model.set_adapter(name)
    for member in names:
        model.delete_adapter(member)
    if rank is not None and rank < configs[name].r:
        _reduce(model, rank, name)
    model.set_adapter(DEFAULT)


def _reduce(model: PeftModel, rank: int, name: str) -> None:
    """Put the best approximation of this rank in the place of each update of the adapter `name` of
    `model`.
    """
    full = get_peft_model_state_dict(model, adapter_name=name)
    whole: Any = model.peft_config[name]
    config = dataclasses.replace(whole, r=rank, lora_alpha=rank)
    scaling = whole.lora_alpha / whole.r
    reduced = {}
    for key in full:
        if "lora_A" in key:
            to_b = key.replace("lora_A", "lora_B")
            reduced[key], reduced[to_b] = best_factors(full[key], scaling * full[to_b], rank)
    model.add_adapter("reduced", config)
    model.set_adapter("reduced")
    model.delete_adapter(name)
    model.add_adapter(name, config)
    set_peft_model_state_dict(model, reduced, adapter_name=name)
    model.set_adapter(name)
    model.delete_adapter("reduced")


def best_factors(a: torch.Tensor, b: torch.Tensor, rank: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The factors of the matrix of `rank` that is nearest to `b` @ `a` in the Frobenius norm.

    Of the product, which is as large as the weight that it updates, nothing is computed: with B = Q R and A'
    = P S, its singular values are those of R S', which is as small as the rank that it has.

    Args:
        a: of shape (r, in). b: (out, r).

    Returns:
        Factors of shapes (rank, in) and (out, rank), of the given ones' dtype and on their device, computed
        in fp64 on the CPU.
    """
    q, r = torch.linalg.qr(b.cpu().double())
    p, s = torch.linalg.qr(a.cpu().double().T)
    left, values, right = torch.linalg.svd(r @ s.T)
    root = values[:rank].sqrt()
    near_a, near_b = root.unsqueeze(1) * right[: len(root)] @ p.T, q @ left[:, : len(root)] * root
    beyond = rank - len(root)  # of a weight that has fewer rows or columns
    return functional.pad(near_a, (0, 0, 0, beyond)).to(a), functional.pad(near_b, (0, beyond)).to(b)
