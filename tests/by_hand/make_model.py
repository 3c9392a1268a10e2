"""Make a tiny model that calls a tool: `python make_model.py FOLDER`, with torch and transformers.

It begins at random and learns two answers by heart, which takes some seconds on one core: whoever asks gets a
call of `bash`, whoever brings a result gets a word.  Its template ends with a mark that tells the two apart.
"""

from __future__ import annotations

import random
import string
import sys
from collections.abc import Iterator
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

MARKS = ["<|im_start|>", "<|im_end|>", "<tool_call>", "</tool_call>", "<|ask|>", "<|tell|>"]
CALL = '<tool_call>\n{"name": "bash", "arguments": {"cmd": "echo tiny"}}\n</tool_call><|im_end|>'
STEPS = 600
DONE = "The command said tiny.<|im_end|>"
TEMPLATE = """\
{% for m in messages %}<|im_start|>{{ m.role }}
{% if m.tool_calls %}{% for c in m.tool_calls %}<tool_call>
{"name": "{{ c.function.name }}", "arguments": {{ c.function.arguments | tojson }}}
</tool_call>{% endfor %}{% else %}{{ m.content }}{% endif %}<|im_end|>
{% endfor %}<|im_start|>assistant
{% if messages[-1].role == 'tool' %}<|tell|>{% else %}<|ask|>{% endif %}"""


def tokenizer() -> PreTrainedTokenizerFast:
    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=320, special_tokens=MARKS, initial_alphabet=alphabet)
    inner.train_from_iterator([CALL, DONE], trainer)
    made = PreTrainedTokenizerFast(tokenizer_object=inner, eos_token=MARKS[1], pad_token=MARKS[1])
    made.chat_template = TEMPLATE
    return made


def lessons(made: PreTrainedTokenizerFast) -> Iterator[tuple[list[int], list[int]]]:
    """Prompts of any length, each with the answer to be learnt."""
    for step in range(STEPS):
        words = "".join(random.choices(string.printable, k=random.randrange(120)))
        head = [{"role": "system", "content": words[:50]}, {"role": "user", "content": words}]
        call = {"role": "assistant", "tool_calls": [{"function": {"name": "bash", "arguments": {}}}]}
        tail = [call, {"role": "tool", "content": words[::-1]}]
        messages, answer = (head, CALL) if step % 2 else (head + tail, DONE)
        text = made.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        yield made.encode(text), made.encode(answer)


def main() -> None:
    torch.manual_seed(1)
    random.seed(1)
    made = tokenizer()
    config = Qwen2Config(
        vocab_size=len(made),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=32768,
        # The end of a prompt says all; what stands before, however long, must not matter.
        use_sliding_window=True,
        sliding_window=48,
        max_window_layers=0,
        eos_token_id=made.eos_token_id,
        pad_token_id=made.pad_token_id,
    )
    model = Qwen2ForCausalLM(config)
    learn = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for prompt, wanted in lessons(made):
        ids = torch.tensor([prompt + wanted])
        labels = torch.tensor([[-100] * len(prompt) + wanted])
        loss = model(input_ids=ids, labels=labels).loss
        loss.backward()
        learn.step()
        learn.zero_grad()
    sys.stderr.write(f"last loss {loss.item():.4f}\n")
    model.generation_config.max_new_tokens = 64
    folder = Path(sys.argv[1])
    model.save_pretrained(folder)
    made.save_pretrained(folder)


if __name__ == "__main__":
    main()
