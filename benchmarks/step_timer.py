"""Time the optimizer steps of any Trainer, and count the real tokens in them."""

import statistics
import time
from collections.abc import Callable

import torch
from transformers import Trainer, TrainerCallback

WARM_UP, WINDOW = 4, 3  # optimizer steps


class StepTimer(TrainerCallback):
    """Tokens a second over windows of steps after a warm-up, then the kernels of some more steps.

    Args:
        collate: the Trainer's collator, which this object wraps.
        count: the real tokens of a batch's rows.
        gradient_accumulation_steps: batches an optimizer step.
        windows: number of windows.
        profiled: number of steps whose kernels are recorded.
    """

    def __init__(
        self,
        collate: Callable,
        count: Callable[[list], int],
        gradient_accumulation_steps: int,
        windows: int,
        profiled: int = 0,
    ):
        self._collate, self._count, self._batches = collate, count, gradient_accumulation_steps
        self._timed, self._profiled = WARM_UP + WINDOW * windows, profiled
        self._tokens: list[int] = []
        self._ends: list[float] = []
        gpu = [torch.profiler.ProfilerActivity.CUDA] if torch.cuda.is_available() else None  # None: the CPU
        self._profiler = torch.profiler.profile(activities=gpu)

    def __call__(self, rows: list) -> dict[str, torch.Tensor]:
        self._tokens.append(self._count(rows))
        return self._collate(rows)

    def on_step_end(self, args, state, control, **kwargs):
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        self._ends.append(time.perf_counter())
        if self._profiled and len(self._ends) == self._timed:
            self._profiler.start()
        elif self._profiled and len(self._ends) == self._timed + self._profiled:
            self._profiler.stop()
        control.should_training_stop = len(self._ends) == self._timed + self._profiled

    def train(self, trainer: Trainer) -> dict:
        """Train until everything is measured, and return the figures."""
        trainer.data_collator = self
        trainer.add_callback(self)
        trainer.train()
        per_step = [
            sum(self._tokens[i : i + self._batches]) for i in range(0, len(self._tokens), self._batches)
        ]
        rates = []
        for start in range(WARM_UP, self._timed, WINDOW):
            seconds = self._ends[start + WINDOW - 1] - self._ends[start - 1]
            rates.append(sum(per_step[start : start + WINDOW]) / seconds)
        figures = {
            "tokens_per_second": round(statistics.median(rates)),
            "lowest": round(min(rates)),
            "highest": round(max(rates)),
            "tokens_per_step": round(statistics.mean(per_step[WARM_UP : self._timed])),
            "peak_gpu_memory_gb": peak_gpu_memory(),
        }
        return figures | ({"kernels": self._kernels()} if self._profiled else {})

    def _kernels(self, most: int = 30) -> dict[str, float]:
        """Milliseconds a step of the `most` slowest kernels, and of the `rest`."""
        events = self._profiler.key_averages()
        device = "self_device_time_total" if torch.cuda.is_available() else "self_cpu_time_total"
        times = {event.key: getattr(event, device) / 1e3 / self._profiled for event in events}
        longest = sorted(times, key=times.get, reverse=True)
        shown = {key[:120]: round(times[key], 2) for key in longest[:most]}
        return {**shown, "rest": round(sum(times[key] for key in longest[most:]), 2)}


def peak_gpu_memory() -> float:
    """The most GPU memory that torch has reserved, in GB; 0 without a GPU."""
    return round(torch.cuda.max_memory_reserved() / 1e9, 1) if torch.cuda.is_available() else 0.0
