"""Attention as memory: compositions of accelerated functions."""

from .compressed import compressed_memory_attention as compressed_memory_attention
from .compressed import conditional_lora as conditional_lora
from .hopfield_energy import hopfield_energy as hopfield_energy
from .notes import scratchpad_write as scratchpad_write
from .notes import tensor_brain_step as tensor_brain_step
from .wirings import memory_as_context as memory_as_context
from .wirings import memory_as_gate as memory_as_gate
from .wirings import memory_as_layer as memory_as_layer
