"""Write a language model of a few megabytes with a fixed output: two GGUF files, built from this file alone.

    python -m tests.servers.tiny_model FOLDER

A byte-level BPE tokenizer is trained on the lines below. The token embedding is the identity and the one transformer
layer adds zero, so the output matrix alone decides: it holds the logarithms of how often one token follows another
in those lines. At temperature 0 the model says SENTENCE and stops; with sampling it babbles. Where a grammar forbids
that sentence (a forced tool call, a JSON schema), the likeliest allowed tokens still make sense, for JSON is
among the lines. `tiny-think.gguf` differs in the chat template, which opens <think>, and in what follows that.
"""

import json
import sys
from collections.abc import Iterable
from pathlib import Path

import gguf
import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from tests.servers import SENTENCE, THOUGHT

END = "<|im_end|>"
CONTROL = ("<|endoftext|>", "<|im_start|>", END)
VISIBLE = ("<think>", "</think>", "<tool_call>", "</tool_call>")
"""Special tokens that appear in the text: llama.cpp reads thoughts and tool calls by them."""

SAID = [SENTENCE] * 40 + [
    *("Yes.", "No.", "I can not say more than that.", "The weather in Paris is sunny.", "One two three four five."),
] * 3
CALL = '{"name": "get_weather", "arguments": {"city": "Paris"}}'
WRITTEN = [
    *('{"city": "Paris"}', '{"city": "Oslo", "unit": "celsius"}', '{"name": "tiny", "age": 7}'),
    *('["a", "b"]', '{"ok": true}', CALL),
]
PARAGRAPH = "\n\n"
"""Follows closed reasoning, as a token of its own: a single line break is followed by reasoning."""

TOKENS = 512
"""Size of the vocabulary and, as the embedding is the identity, of the hidden state."""
HEADS, HEAD, FEED_FORWARD, CONTEXT = 8, TOKENS // 8, 64, 32768

TEMPLATE = r"""
{%- if tools %}
    {{- '<|im_start|>system\n' }}
    {{- messages[0]['content'] if messages[0]['role'] == 'system' else 'You are helpful.' }}
    {{- '\n\n# Tools\n\nYou may call one or more functions to assist with the user query.\n\n' }}
    {{- 'You are provided with function signatures within <tools></tools> XML tags:\n<tools>' }}
    {%- for tool in tools %}
        {{- '\n' + tool | tojson }}
    {%- endfor %}
    {{- '\n</tools>\n\nFor each function call, return a json object with function name and arguments within ' }}
    {{- '<tool_call></tool_call> XML tags:\n<tool_call>\n' }}
    {{- '{"name": <function-name>, "arguments": <args-json-object>}\n</tool_call><|im_end|>\n' }}
{%- elif messages[0]['role'] == 'system' %}
    {{- '<|im_start|>system\n' + messages[0]['content'] + '<|im_end|>\n' }}
{%- endif %}
{%- for message in messages %}
    {%- if message.role == 'user' or message.role == 'system' and not loop.first %}
        {{- '<|im_start|>' + message.role + '\n' + message.content + '<|im_end|>\n' }}
    {%- elif message.role == 'assistant' %}
        {{- '<|im_start|>assistant\n' }}
        REASONING
        {{- message.content or '' }}
        {%- for call in message.tool_calls or [] %}
            {%- if call.function is defined %}
                {%- set call = call.function %}
            {%- endif %}
            {{- '\n<tool_call>\n{"name": "' + call.name + '", "arguments": ' }}
            {{- call.arguments | tojson }}
            {{- '}\n</tool_call>' }}
        {%- endfor %}
        {{- '<|im_end|>\n' }}
    {%- elif message.role == 'tool' %}
        {%- if loop.index0 == 0 or messages[loop.index0 - 1].role != 'tool' %}
            {{- '<|im_start|>user' }}
        {%- endif %}
        {{- '\n<tool_response>\n' + message.content + '\n</tool_response>' }}
        {%- if loop.last or messages[loop.index0 + 1].role != 'tool' %}
            {{- '<|im_end|>\n' }}
        {%- endif %}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\n' }}
    OPENING
{%- endif %}
"""
REASONING = r"""
        {%- if message.reasoning_content %}
            {{- '<think>\n' + message.reasoning_content + '\n</think>\n\n' }}
        {%- endif %}
"""
OPENING = r"""
    {%- if enable_thinking is not defined or enable_thinking %}
        {{- '<think>\n' }}
    {%- else %}
        {{- '<think>\n\n</think>\n\n' }}
    {%- endif %}
"""


def chat_template(*, think: bool) -> str:
    """The chat template in Qwen's style, for which llama.cpp can parse tool calls."""
    fillings = {"        REASONING\n": REASONING, "    OPENING\n": OPENING}
    template = TEMPLATE
    for place, filling in fillings.items():
        template = template.replace(place, filling.lstrip("\n") if think else "")
    return template.strip()


class Vocabulary:
    """The tokenizer, and its tokens in the order of their ids."""

    def __init__(self) -> None:
        self.tokenizer = Tokenizer(models.BPE())
        self.tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        self.tokenizer.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=TOKENS - 32,
            special_tokens=[*CONTROL, *VISIBLE],
            initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
            show_progress=False,
        )
        self.tokenizer.train_from_iterator([*SAID, *WRITTEN * 3, *[THOUGHT + PARAGRAPH] * 3], trainer)
        self.padding = [f"<|pad{n}|>" for n in range(TOKENS - self.tokenizer.get_vocab_size())]
        self.tokenizer.add_special_tokens(self.padding)
        self.ids = self.tokenizer.get_vocab()
        self.tokens = sorted(self.ids, key=self.ids.__getitem__)

    def encode(self, *texts: str) -> list[int]:
        """The token IDs of `texts`; special tokens in them are single tokens."""
        return [number for text in texts for number in self.tokenizer.encode(text).ids]

    def kind(self, token: str) -> gguf.TokenType:
        if token in VISIBLE:
            return gguf.TokenType.USER_DEFINED
        return gguf.TokenType.CONTROL if token in (*CONTROL, *self.padding) else gguf.TokenType.NORMAL

    @property
    def merges(self) -> list[str]:
        pairs = json.loads(self.tokenizer.to_str())["model"]["merges"]
        return [pair if isinstance(pair, str) else " ".join(pair) for pair in pairs]


def lines(vocabulary: Vocabulary, *, think: bool) -> Iterable[tuple[list[int], float]]:
    """The training lines of the model, each with its weight."""
    encode = vocabulary.encode
    for text in SAID:
        yield encode("\n", text, END), 1.0
    for text in WRITTEN:
        yield encode(text, END), 1.0
    yield encode(".", "<tool_call>"), 20.0  # used only if a grammar forbids the end
    yield encode("<tool_call>\n", CALL, "\n</tool_call>", END), 0.2
    yield encode("</think>", PARAGRAPH, SENTENCE, END), 400.0 if think else 1.0
    if think:
        yield encode("<think>\n", THOUGHT, "</think>"), 400.0


def output_matrix(vocabulary: Vocabulary, *, think: bool) -> NDArray[np.float32]:
    """Row by row the logarithm of how likely each token is after each other one, undoing the last norm's scale."""
    follows = np.full((TOKENS, TOKENS), 1e-3)  # [token, next token]
    follows[:, vocabulary.encode(*vocabulary.padding)] = 1e-9
    follows[:, vocabulary.encode(*CONTROL, *VISIBLE)] = 1e-6
    follows[:, vocabulary.encode(END)] = 2e-2
    follows[:, vocabulary.encode('"')] += 2e-2
    for ids, weight in lines(vocabulary, think=think):
        np.add.at(follows, (ids[:-1], ids[1:]), weight)
    logarithms = np.log(follows / follows.sum(axis=1, keepdims=True))
    return np.ascontiguousarray(logarithms.T / np.sqrt(TOKENS), dtype=np.float32)


def tensors(output: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
    """The weights of a Qwen2 model whose one layer passes its input on."""
    sizes = {"attn_q": TOKENS, "attn_k": HEAD, "attn_v": HEAD}
    layer: dict[str, NDArray[np.floating]]
    layer = {f"{name}.weight": np.zeros((size, TOKENS)) for name, size in sizes.items()}
    layer |= {f"{name}.bias": np.zeros(size) for name, size in sizes.items()}
    layer |= {f"{name}.weight": np.ones(TOKENS) for name in ("attn_norm", "ffn_norm")}
    layer |= {f"{name}.weight": np.zeros((FEED_FORWARD, TOKENS)) for name in ("ffn_gate", "ffn_up")}
    layer |= {"attn_output.weight": np.zeros((TOKENS, TOKENS)), "ffn_down.weight": np.zeros((TOKENS, FEED_FORWARD))}
    whole = {"token_embd.weight": np.eye(TOKENS), "output_norm.weight": np.ones(TOKENS), "output.weight": output}
    whole |= {f"blk.0.{name}": weights for name, weights in layer.items()}
    return {name: np.ascontiguousarray(weights, dtype=np.float32) for name, weights in whole.items()}


def describe(writer: gguf.GGUFWriter) -> None:
    writer.add_name("tiny")
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    writer.add_vocab_size(TOKENS)
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(TOKENS)
    writer.add_feed_forward_length(FEED_FORWARD)
    writer.add_block_count(1)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(1)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_rope_freq_base(10000.0)


def add_vocabulary(writer: gguf.GGUFWriter, vocabulary: Vocabulary) -> None:
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(vocabulary.tokens)
    writer.add_token_types([vocabulary.kind(token) for token in vocabulary.tokens])
    writer.add_token_merges(vocabulary.merges)
    writer.add_eos_token_id(vocabulary.ids[END])
    writer.add_bos_token_id(vocabulary.ids[CONTROL[0]])
    writer.add_pad_token_id(vocabulary.ids[CONTROL[0]])
    writer.add_add_bos_token(False)


def write_gguf(path: Path, vocabulary: Vocabulary, *, think: bool) -> None:
    writer = gguf.GGUFWriter(path, "qwen2")
    describe(writer)
    add_vocabulary(writer, vocabulary)
    writer.add_chat_template(chat_template(think=think))
    for name, weights in tensors(output_matrix(vocabulary, think=think)).items():
        writer.add_tensor(name, weights)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def write(folder: Path) -> None:
    """Write tiny.gguf and tiny-think.gguf, and beside each its chat template."""
    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = Vocabulary()
    for name, think in (("tiny", False), ("tiny-think", True)):
        folder.joinpath(f"{name}.jinja").write_text(chat_template(think=think), encoding="utf-8")
        write_gguf(folder / f"{name}.gguf", vocabulary, think=think)


if __name__ == "__main__":
    write(Path(sys.argv[1]))
