"""A Trainer that a slow CPU does not hold up: forward and backward of a batch are launched as one CUDA
graph.
"""

from typing import Any

import torch

from viggo_pipe.training.resumable_trainer import ResumableTrainer

_WARM_UPS = 3  # kernels are compiled and chosen, and workspaces allocated, before they can be recorded


class GraphedTrainer(ResumableTrainer):
    """Records the first batch's kernels, and replays them on those that follow, which must have its shapes.

    A small model's step is over a thousand kernels, each shorter than the CPU takes to launch it (PyTorch's
    "CUDA graphs" notes); so are a large one's where its batch is small. Evaluation and the optimizer run as
    ever.
    """

    _graph: torch.cuda.CUDAGraph | None = None

    def training_step(
        self, model: torch.nn.Module, inputs: dict[str, Any], num_items_in_batch: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Leave the gradients of a batch in the parameters, and return its loss."""
        assert num_items_in_batch is not None  # the Trainer counts them for a model that takes them
        batch = {
            **self._prepare_inputs(inputs),
            "num_items_in_batch": num_items_in_batch.to(self.args.device),
        }
        if self._graph is None:
            self._graph = self._record(model, batch)
        for name, tensor in batch.items():
            self._batch[name].copy_(tensor, non_blocking=True)
        self._graph.replay()
        for parameter, gradient in self._gradients:
            assert gradient is not None  # the graph has written it
            if self.args.gradient_accumulation_steps == 1:
                parameter.grad = gradient
            elif parameter.grad is None:
                parameter.grad = gradient.clone()  # the next replay writes over it
            else:
                parameter.grad += gradient
        return self._loss.clone()

    def _record(self, model: torch.nn.Module, batch: dict[str, torch.Tensor]) -> torch.cuda.CUDAGraph:
        accumulated = [
            (parameter, parameter.grad) for parameter in model.parameters() if parameter.requires_grad
        ]
        random_state = torch.cuda.get_rng_state()
        self._batch = {name: tensor.clone() for name, tensor in batch.items()}
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(_WARM_UPS):
                self._step(model)
        torch.cuda.current_stream().wait_stream(stream)
        for parameter, _ in accumulated:
            parameter.grad = None  # so that the graph writes gradients, and does not add to them
        graph = torch.cuda.CUDAGraph()
        # The thread that pins the next batch's memory may call CUDA meanwhile.
        with torch.cuda.graph(graph, capture_error_mode="thread_local"):
            self._loss = self._step(model)
        self._gradients = [(parameter, parameter.grad) for parameter, _ in accumulated]
        for parameter, gradient in accumulated:
            parameter.grad = gradient
        # As if nothing had been tried: a resumed training records anew.
        torch.cuda.set_rng_state(random_state)
        return graph

    def _step(self, model: torch.nn.Module) -> torch.Tensor:
        inputs = dict(self._batch)
        return super().training_step(model, inputs, inputs.pop("num_items_in_batch"))
