"""An encoder of sets: the mean of the patches' embeddings and what a network makes of it."""

from __future__ import annotations

from torch import Tensor, nn

from ..sequence import PatchSequence, SequenceSpec
from .attention import init_weights
from .embed import PatchEmbedding
from .encoder import Encoded, Encoder, masked_mean
from .positions import build_positions
from .registry import register


@register("encoder", "set")
class SetEncoder(Encoder):
    """Deep Sets (Zaheer et al. 2017, https://arxiv.org/abs/1703.06114): mean of the patches, then a residual network.

    A tenth of the cost of attention over a hundred patches, and as good where patches do not need each other to be
    understood. Tokens are the embeddings themselves; only the pooled vector goes through the network.

    width: of a token. hidden: width of the network's layers. depth: their number. dropout: of hidden units.
    positions: "none", or "fourier" where a patch's place tells something.
    tied: whether ids are scored by the table they are read by, or by one of their own.
    """

    def __init__(
        self,
        spec: SequenceSpec,
        *,
        width: int = 64,
        hidden: int = 256,
        depth: int = 1,
        dropout: float = 0.0,
        positions: str = "none",
        tied: bool = True,
    ) -> None:
        super().__init__(spec)
        if positions not in ("none", "fourier"):
            raise ValueError(f"positions of a set are 'none' or 'fourier', got {positions!r}")
        self.width, self.depth = width, depth
        self.embed = PatchEmbedding(spec, width)
        self.positions, _ = build_positions(positions, spec, width, heads=1)
        layers: list[nn.Module] = [nn.LayerNorm(width)]
        for size in (width, *[hidden] * (depth - 1)):
            layers += [nn.Linear(size, hidden), nn.GELU(), nn.Dropout(dropout)]
        self.network = nn.Sequential(*layers, nn.Linear(hidden, width))
        self.apply(init_weights)
        self.embed.init_weights()
        if not (tied or spec.vocabulary):
            raise ValueError("only ids can be scored by a table of their own, these patches carry values")
        self.ids = None if tied else nn.Embedding(spec.vocabulary[0], width)
        if self.ids is not None:
            nn.init.normal_(self.ids.weight, std=0.02)

    def id_table(self) -> Tensor:
        return super().id_table() if self.ids is None else self.ids.weight

    def encode(self, batch: PatchSequence, index: Tensor | None, keep_layers: int) -> Encoded:
        valid = batch.valid
        coords = batch.coords.float().masked_fill(~valid.unsqueeze(-1), 0.0)
        embedding = x = self.embed(batch.values, batch.ids, batch.kind, valid)
        if self.positions is not None:
            x = x + self.positions(coords)
        mean = masked_mean(x, batch.content)
        for kind in range(1, len(batch.spec.kind_columns)):  # surroundings, each kind as much as all of the content
            mean = mean + masked_mean(x, valid & (batch.kind == kind))
        pooled = mean + self.network(mean)
        return Encoded(x, valid, coords, index, pooled, (x,) if keep_layers else (), embedding)

    def layer_groups(self) -> list[list[nn.Parameter]]:
        network = set(self.network.parameters())
        return [[p for p in self.parameters() if p not in network], list(self.network.parameters())]
