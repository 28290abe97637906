"""The encoder with its two heads, for one pipeline stage.

megatron-core's own BertModel cannot be packed, computes the language-model head at every position and takes a layer
norm that refuses sequence parallelism; the same modules are put together here without those three limits.

Shapes: T tokens of all rows one after another, H hidden size, V this rank's share of the vocabulary, M masked
positions, P pieces that have a sentence order, R = P + M positions that the heads read.
"""

import torch
import torch.nn.functional as F
from megatron.core import tensor_parallel
from megatron.core.models.common.embeddings.language_model_embedding import LanguageModelEmbedding
from megatron.core.models.common.language_module.language_module import LanguageModule
from megatron.core.tensor_parallel.layers import ColumnParallelLinear
from megatron.core.transformer.enums import ModelType
from megatron.core.transformer.transformer_block import TransformerBlock
from megatron.core.transformer.transformer_config import TransformerConfig

from launch.dropout import Dropout
from pretrain.config import NUM_TOKEN_TYPES
from pretrain.data.batch import Batch
from pretrain.model.attention import PackedPieces
from pretrain.model.layers import TORCH, LayerModules, block_submodules
from pretrain.parallel.layout import FP8_MULTIPLE


class MlmTransform(torch.nn.Module):
    """Dense, GELU, layer norm: what stands before the tied decoder. Runs on gathered, selected positions."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.activation = config.activation_func
        self.dense = torch.nn.Linear(config.hidden_size, config.hidden_size, dtype=config.params_dtype)
        self.layer_norm = torch.nn.LayerNorm(
            config.hidden_size, eps=config.layernorm_epsilon, dtype=config.params_dtype
        )

    def forward(self, hidden_MH: torch.Tensor) -> torch.Tensor:
        return self.layer_norm(self.activation(self.dense(hidden_MH)))


class MegatronBert(LanguageModule):
    """One pipeline stage of the pretraining model.

    `forward` gives hidden states [T, 1, H] between stages, and on the last stage the vocabulary-parallel logits of the
    masked positions [M, 1, V] with the sentence-order logits [P, 2].
    """

    def __init__(
        self,
        config: TransformerConfig,
        *,
        vocab_size: int,
        max_position_embeddings: int,
        layers: LayerModules = TORCH,
        pre_process: bool = True,
        post_process: bool = True,
        vp_stage: int | None = None,
    ) -> None:
        super().__init__(config=config)
        self.pre_process = pre_process
        self.post_process = post_process
        self.share_embeddings_and_output_weights = True
        self.vp_stage = vp_stage
        self.model_type = ModelType.encoder_or_decoder
        if pre_process:
            self.embedding = LanguageModelEmbedding(
                config=config,
                vocab_size=vocab_size,
                max_sequence_length=max_position_embeddings,
                position_embedding_type="learned_absolute",
                num_tokentypes=NUM_TOKEN_TYPES,
            )
            self.embedding.embedding_dropout = Dropout(config.hidden_dropout)
        self.encoder = TransformerBlock(
            config=config,
            spec=block_submodules(config, layers, vp_stage, has_heads=post_process),
            pre_process=pre_process,
            post_process=post_process,
            vp_stage=vp_stage,
        )
        if post_process:
            self._build_heads(config, vocab_size)
        if pre_process or post_process:
            self.setup_embeddings_and_output_layer()

    def _build_heads(self, config: TransformerConfig, vocab_size: int) -> None:
        self.lm_head = MlmTransform(config)
        self.output_layer = ColumnParallelLinear(
            config.hidden_size,
            vocab_size,
            config=config,
            init_method=config.init_method,
            bias=True,
            # The logits are the largest tensor of all; added in there, the bias would make a copy of them.
            skip_bias_add=True,
            gather_output=False,
            skip_weight_param_allocation=self.pre_process,
        )
        # The heads see gathered positions, so the sequence is whole again where they work.
        self.output_layer.sequence_parallel = False
        self.output_layer.allreduce_dgrad = config.tensor_model_parallel_size > 1
        self.pooler = torch.nn.Linear(config.hidden_size, config.hidden_size, dtype=config.params_dtype)
        self.binary_head = torch.nn.Linear(config.hidden_size, 2, dtype=config.params_dtype)

    def set_input_tensor(self, input_tensor: torch.Tensor | list[torch.Tensor]) -> None:
        """What the stage before sent; megatron-core's schedules call this."""
        self.encoder.set_input_tensor(input_tensor[0] if isinstance(input_tensor, list) else input_tensor)

    def forward(self, batch: Batch) -> torch.Tensor | tuple[torch.Tensor, torch.Tensor]:
        embedded = None
        if self.pre_process:
            embedded = self.embedding(
                input_ids=batch.input_ids, position_ids=batch.position_ids, tokentype_ids=batch.token_type_ids
            )
        read_positions, order = torch.cat((batch.sequence_starts, batch.masked_positions)).sort()
        pieces = PackedPieces(
            qkv_format="thd",
            cu_seqlens_q=batch.cu_seqlens,
            cu_seqlens_kv=batch.cu_seqlens,
            max_seqlen_q=batch.max_seqlen,
            max_seqlen_kv=batch.max_seqlen,
            # Under sequence parallelism each rank holds other positions, and the heads gather them all first.
            read_positions=None if self.config.sequence_parallel else self._of_last_layer(read_positions, batch),
        )
        hidden_T1H = self.encoder(hidden_states=embedded, attention_mask=None, packed_seq_params=pieces)
        if not self.post_process:
            return hidden_T1H
        if self.config.sequence_parallel:
            # Every tensor rank computes the heads whole, so the backward of the gather is a plain split.
            hidden_T1H = tensor_parallel.gather_from_sequence_parallel_region(
                hidden_T1H, tensor_parallel_output_grad=False
            )
            hidden_T1H = hidden_T1H.index_select(0, read_positions)
        hidden_RH = hidden_T1H[: len(order), 0]
        read_RH = torch.empty_like(hidden_RH).index_copy(0, order, hidden_RH)
        starts_PH, masked_MH = read_RH.split((len(batch.sequence_starts), len(batch.masked_positions)))
        pooled_PH = torch.tanh(self.pooler(starts_PH))
        transformed_MH = self.lm_head(masked_MH)
        logits_M1V, bias_V = self.output_layer(
            transformed_MH.unsqueeze(1), weight=self.shared_embedding_or_output_weight()
        )
        return logits_M1V.add_(bias_V), self.binary_head(pooled_PH)

    def _of_last_layer(self, positions_R: torch.Tensor, batch: Batch) -> torch.Tensor:
        """[R] → [R'], where the last layer goes on: the same, in FP8 with the last token again and again behind them up
        to a multiple of `FP8_MULTIPLE` that is not 0. What becomes of those is left out by the heads."""
        if not self.config.fp8:
            return positions_R
        missing = FP8_MULTIPLE - len(positions_R) % FP8_MULTIPLE
        return F.pad(positions_R, (0, missing), value=batch.input_ids.numel() - 1)
