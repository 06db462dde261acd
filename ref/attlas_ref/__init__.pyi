# Written by `python -m attlas.stubs` from the records; do not edit.

from .dotproduct.attention_energy import attention_energy as attention_energy
from .dotproduct.attention_partial import attention_partial as attention_partial
from .dotproduct.attention_partial import empty_attention_partial as empty_attention_partial
from .dotproduct.attention_partial import finish_attention_partial as finish_attention_partial
from .dotproduct.attention_partial import merge_attention_partials as merge_attention_partials
from .dotproduct.distance_attention import distance_attention as distance_attention
from .dotproduct.memory_efficient_attention import memory_efficient_attention as memory_efficient_attention
from .dotproduct.softmax_attention import softmax_attention as softmax_attention
from .dotproduct.softmax_attention_vjp import softmax_attention_vjp as softmax_attention_vjp
from .normalizers.relu_attention import relu_attention as relu_attention
from .normalizers.sigmoid_attention import sigmoid_attention as sigmoid_attention
from .normalizers.softcapped_attention import softcapped_attention as softcapped_attention

__version__: str
