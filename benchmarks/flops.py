"""Matrix-product FLOPs of a step, counted the same way for every side of a comparison.

torch's counter has two gaps that would bend a comparison, both closed here (read from torch 2.13):
- fused attention on a CPU is not counted; it is counted as the plain products it stands for, also where a network
  chooses the kernel itself;
- the weight gradient of a grouped convolution is counted as if it had one group. Each of the two products of a
  convolution's backward pass multiplies exactly as often as its forward pass.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode, conv_flop_count, sdpa_flop_count


def flops(step: Callable[[], Any]) -> int:
    """Multiplications and additions of all matrix products and convolutions in one call of `step`."""
    aten = torch.ops.aten
    missing = {
        aten.convolution_backward: _convolution,
        aten._scaled_dot_product_flash_attention_for_cpu: lambda q, k, v, *_, **__: sdpa_flop_count(q, k, v),
        aten._scaled_dot_product_flash_attention_for_cpu_backward: lambda g, q, k, v, *_, **__: (
            2 * sdpa_flop_count(q, k, v)
        ),
    }
    counter = FlopCounterMode(display=False, custom_mapping=missing)
    with sdpa_kernel(SDPBackend.MATH), counter:
        step()
    return counter.get_total_flops()


def _convolution(grad_shape, x_shape, w_shape, *rest, **_: Any) -> int:
    # the rest: bias, stride, padding, dilation, transposed, output padding, groups, which gradients are wanted
    transposed, wanted = rest[4], rest[7]
    return conv_flop_count(x_shape, w_shape, grad_shape, transposed) * (wanted[0] + wanted[1])
