//! The forward pass of Llama-family models (Touvron et al. 2023, <https://arxiv.org/abs/2302.13971>; grouped queries
//! and scaled rotations as in Llama 3, <https://arxiv.org/abs/2407.21783>), for plain and quantised weights alike.
//!
//! One conversation at a time: keys and values of what was read are kept until [`Llama::reset`].

use std::path::Path;

use candle_core::quantized::QMatMul;
use candle_core::{DType, Device, Module as _, Tensor};
use candle_nn::kv_cache::KvCache;
use candle_nn::{ops, rotary_emb};
use serde::Deserialize;

use super::fault::LocalError;
use super::weights::Weights;
use super::{folder, gguf, memory};

/// Keys and values grow by this many tokens.
const GROWTH: usize = 256;

/// The sizes of a model.
#[derive(Clone, Debug, PartialEq)]
pub struct Sizes {
    /// Width of a token's state.
    pub hidden: usize,
    /// Width inside the feed-forward part.
    pub inner: usize,
    /// Layers.
    pub layers: usize,
    /// Heads that ask.
    pub heads: usize,
    /// Heads that are asked.
    pub kv_heads: usize,
    /// Width of a head.
    pub head: usize,
    /// Tokens of the vocabulary.
    pub vocabulary: usize,
    /// What keeps the norm from dividing by zero.
    pub epsilon: f64,
    /// Most tokens that the model was made for.
    pub positions: usize,
}

/// How positions turn keys and queries.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Rotation {
    /// Turns per token of each pair of numbers.
    pub(super) frequencies: Vec<f32>,
    /// Whether pairs lie beside each other (GGUF) or half a head apart (Hugging Face).
    pub(super) interleaved: bool,
}

/// Rotation for longer texts than the model was first made for.
#[derive(Clone, Copy, Debug, Deserialize)]
struct Scaling {
    #[serde(alias = "type")]
    rope_type: Option<Known>,
    factor: Option<f32>,
    low_freq_factor: Option<f32>,
    high_freq_factor: Option<f32>,
    original_max_position_embeddings: Option<f32>,
    rope_theta: Option<f32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Known {
    Default,
    Linear,
    Llama3,
    #[serde(other)]
    Other,
}

#[derive(Debug, Deserialize)]
struct Config {
    hidden_size: usize,
    intermediate_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    num_key_value_heads: Option<usize>,
    head_dim: Option<usize>,
    vocab_size: usize,
    rms_norm_eps: f64,
    rope_theta: Option<f32>,
    #[serde(alias = "rope_parameters")]
    rope_scaling: Option<Scaling>,
    max_position_embeddings: usize,
    #[serde(default)]
    attention_bias: bool,
    #[serde(default)]
    mlp_bias: bool,
    hidden_act: Option<String>,
}

/// A matrix or vector of the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// A row per token.
    Embedding,
    /// A row per token, for the answer; without it the embedding serves.
    Output,
    /// The last norm.
    Norm,
    /// One of a layer's.
    Of(usize, LayerPart),
}

/// A layer's parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LayerPart {
    AttentionNorm,
    Query,
    Key,
    Value,
    Mix,
    ForwardNorm,
    Gate,
    Up,
    Down,
}

/// Where a model's parts come from.
pub(super) trait Source {
    /// A matrix of this shape.
    fn matrix(&mut self, part: Part, rows: usize, columns: usize) -> Result<QMatMul, LocalError>;
    /// A vector of this length.
    fn vector(&mut self, part: Part, length: usize) -> Result<Tensor, LocalError>;
    /// Whether there is such a part.
    fn has(&self, part: Part) -> bool;
}

struct Layer {
    attention_norm: Tensor,
    query: QMatMul,
    key: QMatMul,
    value: QMatMul,
    mix: QMatMul,
    forward_norm: Tensor,
    gate: QMatMul,
    up: QMatMul,
    down: QMatMul,
}

/// A loaded model.
pub struct Llama {
    sizes: Sizes,
    embedding: QMatMul,
    layers: Vec<Layer>,
    norm: Tensor,
    output: QMatMul,
    turns: (Tensor, Tensor),
    interleaved: bool,
    context: usize,
    caches: Vec<KvCache>,
    device: Device,
    dtype: DType,
    weight_bytes: u64,
}

impl Llama {
    /// Loads a folder or a GGUF file with room for `context` tokens, or as many as the model was made for.
    ///
    /// # Errors
    /// Whatever is wrong with the files, or too little memory.
    pub fn load(found: &folder::Found, context: usize) -> Result<Self, LocalError> {
        match found {
            folder::Found::Llama(path) => Self::from_folder(path, context),
            folder::Found::Gguf(path) => {
                let mut file = gguf::Gguf::open(path)?;
                let (device, dtype) = (device(), DType::F32);
                let (sizes, rotation) = (file.sizes()?, file.rotation()?);
                memory::check(file.bytes() + room(&sizes, context, dtype))?;
                let bytes = file.bytes();
                Self::build(sizes, rotation, &mut file.on(&device), Place { context, device: &device, dtype, bytes })
            }
            folder::Found::Bert(path) => Err(folder::other_kind(
                path,
                "bert",
                "it embeds and does not write: name it with --embedding, or in a provider of its own",
            )),
        }
    }

    fn from_folder(path: &Path, context: usize) -> Result<Self, LocalError> {
        let file = path.join("config.json");
        let config: Config = folder::json(&file)?;
        let (sizes, rotation) = (config.sizes(&file)?, config.rotation(&file)?);
        let weights = Weights::open(path)?;
        let device = device();
        // A processor computes fastest in 32 bits; a GPU in the 16 that such models are published in.
        let dtype = if device.is_cpu() { DType::F32 } else { DType::BF16 };
        let bytes = weights.numbers().saturating_mul(dtype.size_in_bytes() as u64);
        memory::check(bytes + room(&sizes, context, dtype))?;
        let mut source = Folder { weights, device: &device, dtype };
        Self::build(sizes, rotation, &mut source, Place { context, device: &device, dtype, bytes })
    }

    fn build(sizes: Sizes, rotation: Rotation, source: &mut dyn Source, place: Place<'_>) -> Result<Self, LocalError> {
        let embedding = source.matrix(Part::Embedding, sizes.vocabulary, sizes.hidden)?;
        let output = if source.has(Part::Output) {
            source.matrix(Part::Output, sizes.vocabulary, sizes.hidden)?
        } else {
            embedding.clone()
        };
        let layers = (0..sizes.layers).map(|at| Layer::load(at, &sizes, source)).collect::<Result<Vec<_>, _>>()?;
        let norm = source.vector(Part::Norm, sizes.hidden)?;
        let context = place.context.min(sizes.positions).max(1);
        let turns = turns(&rotation, context, place.device, place.dtype)?;
        let mut llama = Self {
            sizes,
            embedding,
            layers,
            norm,
            output,
            turns,
            interleaved: rotation.interleaved,
            context,
            caches: Vec::new(),
            device: place.device.clone(),
            dtype: place.dtype,
            weight_bytes: place.bytes,
        };
        llama.reset();
        Ok(llama)
    }

    /// Most tokens of a prompt and its answer.
    #[must_use]
    pub fn context(&self) -> usize {
        self.context
    }

    /// The sizes.
    #[must_use]
    pub fn sizes(&self) -> &Sizes {
        &self.sizes
    }

    /// Bytes of weights in memory.
    #[must_use]
    pub fn weight_bytes(&self) -> u64 {
        self.weight_bytes
    }

    /// Bytes of keys and values at present.
    #[must_use]
    pub fn cache_bytes(&self) -> u64 {
        let bytes = |tensor: &Option<Tensor>| {
            tensor.as_ref().map_or(0, |tensor| tensor.elem_count() * tensor.dtype().size_in_bytes())
        };
        self.caches
            .iter()
            .map(|cache| bytes(cache.k_cache().all_data()) + bytes(cache.v_cache().all_data()))
            .sum::<usize>() as u64
    }

    /// `cpu` or `cuda`.
    #[must_use]
    pub fn device(&self) -> &'static str {
        if self.device.is_cpu() { "cpu" } else { "cuda" }
    }

    /// Forgets what was read.
    pub fn reset(&mut self) {
        self.caches = (0..self.sizes.layers).map(|_| KvCache::new(1, GROWTH)).collect();
    }

    /// Tokens read since the last [`Llama::reset`].
    #[must_use]
    pub fn read(&self) -> usize {
        self.caches.first().map_or(0, KvCache::current_seq_len)
    }

    /// Reads on: the logits of what follows the last of `tokens`, one per token of the vocabulary.
    ///
    /// # Errors
    /// [`LocalError::TooLong`] past the context, or what the computation says.
    pub fn forward(&mut self, tokens: &[u32]) -> Result<Vec<f32>, LocalError> {
        let (before, count) = (self.read(), tokens.len());
        if before + count > self.context {
            return Err(LocalError::TooLong { tokens: before + count, room: self.context });
        }
        let ids = Tensor::new(tokens, &self.device)?;
        let mut state = self.embedding.embedding(&ids)?.to_dtype(self.dtype)?;
        let mask = if count > 1 { Some(mask(before, count, &self.device)?) } else { None };
        let turns = (self.turns.0.narrow(0, before, count)?, self.turns.1.narrow(0, before, count)?);
        let epsilon = self.sizes.epsilon as f32;
        for (layer, cache) in self.layers.iter().zip(&mut self.caches) {
            let normed = ops::rms_norm(&state, &layer.attention_norm, epsilon)?;
            let attended = layer.attend(&normed, cache, &turns, mask.as_ref(), (&self.sizes, self.interleaved))?;
            state = (state + attended)?;
            let normed = ops::rms_norm(&state, &layer.forward_norm, epsilon)?;
            let gated = (ops::silu(&layer.gate.forward(&normed)?)? * layer.up.forward(&normed)?)?;
            state = (state + layer.down.forward(&gated)?)?;
        }
        let last = state.narrow(0, count - 1, 1)?.contiguous()?;
        let last = ops::rms_norm(&last, &self.norm, epsilon)?;
        Ok(self.output.forward(&last)?.to_dtype(DType::F32)?.flatten_all()?.to_vec1()?)
    }
}

impl Layer {
    fn load(at: usize, sizes: &Sizes, source: &mut dyn Source) -> Result<Self, LocalError> {
        let part = |part| Part::Of(at, part);
        let (queries, keys) = (sizes.heads * sizes.head, sizes.kv_heads * sizes.head);
        Ok(Self {
            attention_norm: source.vector(part(LayerPart::AttentionNorm), sizes.hidden)?,
            query: source.matrix(part(LayerPart::Query), queries, sizes.hidden)?,
            key: source.matrix(part(LayerPart::Key), keys, sizes.hidden)?,
            value: source.matrix(part(LayerPart::Value), keys, sizes.hidden)?,
            mix: source.matrix(part(LayerPart::Mix), sizes.hidden, queries)?,
            forward_norm: source.vector(part(LayerPart::ForwardNorm), sizes.hidden)?,
            gate: source.matrix(part(LayerPart::Gate), sizes.inner, sizes.hidden)?,
            up: source.matrix(part(LayerPart::Up), sizes.inner, sizes.hidden)?,
            down: source.matrix(part(LayerPart::Down), sizes.hidden, sizes.inner)?,
        })
    }

    /// Attention of `state` (tokens × hidden) to all that was read. Queries that share a key head are rows of one
    /// product, so that keys are never copied.
    fn attend(
        &self,
        state: &Tensor,
        cache: &mut KvCache,
        turns: &(Tensor, Tensor),
        mask: Option<&Tensor>,
        (sizes, interleaved): (&Sizes, bool),
    ) -> candle_core::Result<Tensor> {
        let count = state.dim(0)?;
        let heads = |projected: Tensor, heads: usize| {
            projected.reshape((count, heads, sizes.head))?.transpose(0, 1)?.contiguous()
        };
        let turned = |heads: Tensor| {
            let (heads, (cos, sin)) = (heads.unsqueeze(0)?, turns);
            if interleaved { rotary_emb::rope_i(&heads, cos, sin) } else { rotary_emb::rope(&heads, cos, sin) }?
                .squeeze(0)
        };
        let query = turned(heads(self.query.forward(state)?, sizes.heads)?)?;
        let key = turned(heads(self.key.forward(state)?, sizes.kv_heads)?)?;
        let value = heads(self.value.forward(state)?, sizes.kv_heads)?;
        let (keys, values) = cache.append(&key, &value)?;
        let (read, sharing) = (keys.dim(1)?, sizes.heads / sizes.kv_heads);
        let query = query.reshape((sizes.kv_heads, sharing * count, sizes.head))?.to_dtype(DType::F32)?;
        let scores = query.matmul(&keys.to_dtype(DType::F32)?.transpose(1, 2)?)?;
        let mut scores = (scores * (1.0 / (sizes.head as f64).sqrt()))?;
        if let Some(mask) = mask {
            let apart = scores.reshape((sizes.kv_heads, sharing, count, read))?.broadcast_add(mask)?;
            scores = apart.reshape((sizes.kv_heads, sharing * count, read))?;
        }
        let weights = ops::softmax_last_dim(&scores)?;
        let mixed = weights.matmul(&values.to_dtype(DType::F32)?)?.to_dtype(state.dtype())?;
        let mixed = mixed.reshape((sizes.heads, count, sizes.head))?.transpose(0, 1)?;
        self.mix.forward(&mixed.reshape((count, sizes.heads * sizes.head))?)
    }
}

/// Where a model is put.
struct Place<'a> {
    context: usize,
    device: &'a Device,
    dtype: DType,
    bytes: u64,
}

/// The first GPU in a build for it where there is one, else the processor.
fn device() -> Device {
    Device::cuda_if_available(0).unwrap_or_else(|error| {
        tracing::warn!(%error, "no GPU can be used; the model is computed on the processor");
        Device::Cpu
    })
}

/// Bytes of keys and values of a full context.
fn room(sizes: &Sizes, context: usize, dtype: DType) -> u64 {
    let per_token = 2 * sizes.layers * sizes.kv_heads * sizes.head * dtype.size_in_bytes();
    per_token as u64 * context.min(sizes.positions) as u64
}

/// Cosines and sines, a row per position.
fn turns(rotation: &Rotation, context: usize, device: &Device, dtype: DType) -> Result<(Tensor, Tensor), LocalError> {
    let positions = 0..context;
    let angles: Vec<f32> =
        positions.flat_map(|at| rotation.frequencies.iter().map(move |turn| at as f32 * turn)).collect();
    let angles = Tensor::from_vec(angles, (context, rotation.frequencies.len()), device)?;
    Ok((angles.cos()?.to_dtype(dtype)?, angles.sin()?.to_dtype(dtype)?))
}

/// What each of `count` new tokens must not see: those after it.
fn mask(before: usize, count: usize, device: &Device) -> Result<Tensor, LocalError> {
    let sees = |from: usize, to: usize| if to <= before + from { 0.0 } else { f32::NEG_INFINITY };
    let rows: Vec<f32> = (0..count).flat_map(|from| (0..before + count).map(move |to| sees(from, to))).collect();
    Ok(Tensor::from_vec(rows, (count, before + count), device)?)
}

/// Turns per token without scaling.
pub(super) fn frequencies(theta: f32, head: usize) -> Vec<f32> {
    (0..head / 2).map(|pair| 1.0 / theta.powf(2.0 * pair as f32 / head as f32)).collect()
}

impl Config {
    fn sizes(&self, file: &Path) -> Result<Sizes, LocalError> {
        let (heads, kv_heads) =
            (self.num_attention_heads, self.num_key_value_heads.unwrap_or(self.num_attention_heads));
        if heads == 0 || kv_heads == 0 || heads % kv_heads != 0 || self.num_hidden_layers == 0 {
            return Err(LocalError::malformed(file, "its numbers of heads or layers do not fit each other"));
        }
        let head = self.head_dim.unwrap_or(self.hidden_size / heads);
        if head == 0 || !head.is_multiple_of(2) {
            return Err(LocalError::malformed(file, format!("a head of {head} numbers cannot be turned")));
        }
        let refuse = |what: &str| Err(LocalError::malformed(file, format!("{what} is not supported")));
        if self.attention_bias || self.mlp_bias {
            return refuse("a Llama with biases");
        }
        if self.hidden_act.as_deref().is_some_and(|name| name != "silu") {
            return refuse("another activation than silu");
        }
        Ok(Sizes {
            hidden: self.hidden_size,
            inner: self.intermediate_size,
            layers: self.num_hidden_layers,
            heads,
            kv_heads,
            head,
            vocabulary: self.vocab_size,
            epsilon: self.rms_norm_eps,
            positions: self.max_position_embeddings,
        })
    }

    fn rotation(&self, file: &Path) -> Result<Rotation, LocalError> {
        let head = self.head_dim.unwrap_or(self.hidden_size / self.num_attention_heads.max(1));
        let theta = self.rope_theta.or(self.rope_scaling.and_then(|scaling| scaling.rope_theta)).unwrap_or(10_000.0);
        let plain = frequencies(theta, head);
        let frequencies = match self.rope_scaling {
            None => plain,
            Some(scaling) => scaling
                .applied(&plain)
                .ok_or_else(|| LocalError::malformed(file, "this kind of `rope_scaling` is not supported"))?,
        };
        Ok(Rotation { frequencies, interleaved: false })
    }
}

impl Scaling {
    /// Scaled turns; `None` when the kind is unknown or lacks its factors.
    fn applied(&self, plain: &[f32]) -> Option<Vec<f32>> {
        match self.rope_type.unwrap_or(Known::Default) {
            Known::Default => Some(plain.to_vec()),
            Known::Linear => {
                let factor = self.factor?;
                Some(plain.iter().map(|turn| turn / factor).collect())
            }
            Known::Llama3 => {
                let (factor, low, high) = (self.factor?, self.low_freq_factor?, self.high_freq_factor?);
                let original = self.original_max_position_embeddings?;
                let scaled = |turn: &f32| {
                    let turns_in_original = original * turn / (2.0 * std::f32::consts::PI);
                    // Slow turns are stretched, fast ones are kept, and those between are blended.
                    let kept = ((turns_in_original - low) / (high - low)).clamp(0.0, 1.0);
                    (1.0 - kept) * turn / factor + kept * turn
                };
                Some(plain.iter().map(scaled).collect())
            }
            Known::Other => None,
        }
    }
}

/// A folder's tensors under their Hugging Face names.
struct Folder<'a> {
    weights: Weights,
    device: &'a Device,
    dtype: DType,
}

impl Source for Folder<'_> {
    fn matrix(&mut self, part: Part, rows: usize, columns: usize) -> Result<QMatMul, LocalError> {
        let tensor = self.weights.get(&folder_name(part), &[rows, columns], self.dtype, self.device)?;
        Ok(QMatMul::Tensor(tensor))
    }

    fn vector(&mut self, part: Part, length: usize) -> Result<Tensor, LocalError> {
        self.weights.get(&folder_name(part), &[length], self.dtype, self.device)
    }

    fn has(&self, part: Part) -> bool {
        self.weights.has(&folder_name(part))
    }
}

fn folder_name(part: Part) -> String {
    let (at, part) = match part {
        Part::Embedding => return "model.embed_tokens.weight".to_owned(),
        Part::Output => return "lm_head.weight".to_owned(),
        Part::Norm => return "model.norm.weight".to_owned(),
        Part::Of(at, part) => (at, part),
    };
    let name = match part {
        LayerPart::AttentionNorm => "input_layernorm",
        LayerPart::Query => "self_attn.q_proj",
        LayerPart::Key => "self_attn.k_proj",
        LayerPart::Value => "self_attn.v_proj",
        LayerPart::Mix => "self_attn.o_proj",
        LayerPart::ForwardNorm => "post_attention_layernorm",
        LayerPart::Gate => "mlp.gate_proj",
        LayerPart::Up => "mlp.up_proj",
        LayerPart::Down => "mlp.down_proj",
    };
    format!("model.layers.{at}.{name}.weight")
}
