//! The forward pass of BERT-family sentence embedders (Devlin et al. 2019, <https://arxiv.org/abs/1810.04805>; pooling
//! as in Reimers and Gurevych 2019, <https://arxiv.org/abs/1908.10084>), on the processor, in builds for a GPU too.
//!
//! What lies between the matrix products is vector code of this crate ([`super::kernels`]), which has no counterpart on
//! a GPU; a model of this size, 22 to 110 million parameters, gains less there than a second forward pass would cost.
//!
//! Texts are sorted by length and packed one after the other into groups: nothing is padded, query, key and value are
//! one product, and each group is a task of its own on the threads of `rayon`.

use std::path::Path;
use std::sync::Arc;

use candle_core::{DType, Device, Tensor};
use rayon::prelude::*;
use serde::Deserialize;
use serde_json::Value;
use tokenizers::Tokenizer;

use super::fault::LocalError;
use super::kernels::{AddNorm, Attention, BiasGelu, normalise};
use super::weights::Weights;
use super::{folder, memory, text};

/// Tokens that are computed with at once, so that what lies between two products stays in the processor's caches.
const GROUP: usize = 512;

#[derive(Debug, Deserialize)]
struct Config {
    hidden_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    intermediate_size: usize,
    max_position_embeddings: usize,
    vocab_size: usize,
    #[serde(default = "two")]
    type_vocab_size: usize,
    #[serde(default = "tiny")]
    layer_norm_eps: f64,
    hidden_act: Option<String>,
    position_embedding_type: Option<String>,
}

const fn two() -> usize {
    2
}

const fn tiny() -> f64 {
    1e-12
}

/// How a text's vector is made of its tokens' states.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pooling {
    Mean,
    First,
}

struct Norm {
    gain: Arc<[f32]>,
    shift: Arc<[f32]>,
}

struct Layer {
    /// Query, key and value side by side; hidden × 3·hidden.
    attention: Tensor,
    attention_bias: Arc<[f32]>,
    mix: Tensor,
    mix_norm: AddNorm,
    up: Tensor,
    gelu: BiasGelu,
    down: Tensor,
    down_norm: AddNorm,
}

/// A loaded model.
pub struct Bert {
    words: Vec<f32>,
    /// Position and type of a first text, added up: a row per position.
    places: Vec<f32>,
    norm: Norm,
    layers: Vec<Layer>,
    heads: usize,
    hidden: usize,
    vocabulary: usize,
    epsilon: f32,
    pooling: Pooling,
    tokenizer: Tokenizer,
    longest: usize,
    weight_bytes: u64,
}

/// Vectors and what they took.
#[derive(Clone, Debug, PartialEq)]
pub struct Vectors {
    /// One per text, of length 1.
    pub vectors: Vec<Vec<f32>>,
    /// Tokens that were read.
    pub tokens: u64,
    /// Texts of which only the beginning was read.
    pub cut: usize,
}

impl Bert {
    /// Loads a folder.
    ///
    /// # Errors
    /// Whatever is wrong with the files, or too little memory.
    pub fn load(path: &Path) -> Result<Self, LocalError> {
        let file = path.join("config.json");
        let config: Config = folder::json(&file)?;
        config.check(&file)?;
        let weights = Weights::open(path)?;
        let weight_bytes = weights.numbers().saturating_mul(4);
        memory::check(weight_bytes)?;
        let (longest, pooling) = (longest(path, &config)?, pooling(path)?);
        let mut tokenizer = text::read(&path.join("tokenizer.json"))?;
        tokenizer.with_padding(None);
        // Cut here rather than there, so that a cut can be told of.
        tokenizer
            .with_truncation(None)
            .map_err(|error| LocalError::malformed(&path.join("tokenizer.json"), error.to_string()))?;
        let named =
            Named { prefix: if weights.has("bert.embeddings.word_embeddings.weight") { "bert." } else { "" }, weights };
        let (hidden, positions) = (config.hidden_size, config.max_position_embeddings);
        let words = named.flat("embeddings.word_embeddings.weight", &[config.vocab_size, hidden])?;
        let mut places = named.flat("embeddings.position_embeddings.weight", &[positions, hidden])?;
        let types = named.flat("embeddings.token_type_embeddings.weight", &[config.type_vocab_size, hidden])?;
        for row in places.chunks_exact_mut(hidden) {
            row.iter_mut().zip(&types).for_each(|(place, first)| *place += first);
        }
        let layers = (0..config.num_hidden_layers).map(|at| Layer::load(at, &config, &named));
        Ok(Self {
            words,
            places,
            norm: named.norm("embeddings.LayerNorm", hidden)?,
            layers: layers.collect::<Result<_, _>>()?,
            heads: config.num_attention_heads,
            hidden,
            vocabulary: config.vocab_size,
            epsilon: config.layer_norm_eps as f32,
            pooling,
            tokenizer,
            longest,
            weight_bytes,
        })
    }

    /// Length of the vectors.
    #[must_use]
    pub fn dimensions(&self) -> usize {
        self.hidden
    }

    /// Most tokens of a text; what follows is left out.
    #[must_use]
    pub fn longest(&self) -> usize {
        self.longest
    }

    /// Bytes of weights in memory.
    #[must_use]
    pub fn weight_bytes(&self) -> u64 {
        self.weight_bytes
    }

    /// Vectors of texts, in order.
    ///
    /// # Errors
    /// What tokenizer or computation say.
    pub fn embed(&self, texts: &[impl AsRef<str> + Sync]) -> Result<Vectors, LocalError> {
        let mut cut = 0;
        let encoded: Vec<Vec<u32>> =
            texts.par_iter().map(|text| self.encode(text.as_ref())).collect::<Result<_, _>>()?;
        let tokens: Vec<Vec<u32>> = encoded
            .into_iter()
            .map(|mut ids| {
                if ids.len() > self.longest {
                    cut += 1;
                    // The mark that ends a text stays.
                    let end = ids.last().copied();
                    ids.truncate(self.longest);
                    ids.iter_mut().last().zip(end).into_iter().for_each(|(last, end)| *last = end);
                }
                ids
            })
            .collect();
        let mut order: Vec<usize> =
            (0..tokens.len()).filter(|at| tokens.get(*at).is_some_and(|ids| !ids.is_empty())).collect();
        order.sort_by_key(|at| tokens.get(*at).map_or(0, Vec::len));
        let groups = groups(&order, &tokens);
        let done: Vec<Vec<(usize, Vec<f32>)>> =
            groups.par_iter().map(|group| self.group(group, &tokens)).collect::<Result<_, _>>()?;
        let mut vectors = vec![vec![0.0; self.hidden]; tokens.len()];
        for (at, vector) in done.into_iter().flatten() {
            if let Some(place) = vectors.get_mut(at) {
                *place = vector;
            }
        }
        Ok(Vectors { vectors, tokens: tokens.iter().map(|ids| ids.len() as u64).sum(), cut })
    }

    fn encode(&self, text: &str) -> Result<Vec<u32>, LocalError> {
        let encoded = self.tokenizer.encode_fast(text, true).map_err(|error| LocalError::Compute(error.to_string()))?;
        Ok(encoded.get_ids().to_vec())
    }

    /// The vectors of a group of texts.
    fn group(&self, group: &[usize], tokens: &[Vec<u32>]) -> Result<Vec<(usize, Vec<f32>)>, LocalError> {
        let ids: Vec<&[u32]> = group.iter().map(|at| tokens.get(*at).map_or(&[][..], Vec::as_slice)).collect();
        let lengths: Vec<usize> = ids.iter().map(|ids| ids.len()).collect();
        let mut state = self.embedded(&ids)?;
        for layer in &self.layers {
            state = layer.forward(&state, &lengths, self.heads)?;
        }
        let states: Vec<f32> = state.flatten_all()?.to_vec1()?;
        let mut rest = states.as_slice();
        let mut vectors = Vec::with_capacity(group.len());
        for (at, length) in group.iter().zip(lengths) {
            let (own, after) = rest.split_at(length * self.hidden);
            vectors.push((*at, self.pooled(own)));
            rest = after;
        }
        Ok(vectors)
    }

    /// States before the first layer.
    fn embedded(&self, texts: &[&[u32]]) -> Result<Tensor, LocalError> {
        let count: usize = texts.iter().map(|ids| ids.len()).sum();
        let mut rows = Vec::with_capacity(count * self.hidden);
        for (position, id) in texts.iter().flat_map(|ids| ids.iter().enumerate()) {
            let id = *id as usize;
            if id >= self.vocabulary {
                return Err(LocalError::Compute(format!("the tokenizer knows a token {id} that the model lacks")));
            }
            let from = rows.len();
            rows.extend_from_slice(self.words.get(id * self.hidden..(id + 1) * self.hidden).unwrap_or_default());
            let place = self.places.get(position * self.hidden..(position + 1) * self.hidden).unwrap_or_default();
            let row = rows.get_mut(from..).unwrap_or_default();
            row.iter_mut().zip(place).for_each(|(value, place)| *value += place);
            normalise(row, &self.norm.gain, &self.norm.shift, self.epsilon);
        }
        Ok(Tensor::from_vec(rows, (count, self.hidden), &Device::Cpu)?)
    }

    /// One text's vector, of length 1.
    fn pooled(&self, states: &[f32]) -> Vec<f32> {
        let mut vector = vec![0.0; self.hidden];
        let rows = states.chunks_exact(self.hidden);
        let rows = rows.take(if self.pooling == Pooling::First { 1 } else { usize::MAX });
        for row in rows {
            vector.iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
        }
        let length = vector.iter().map(|value| value * value).sum::<f32>().sqrt();
        if length > 0.0 {
            vector.iter_mut().for_each(|value| *value /= length);
        }
        vector
    }
}

/// Texts of like length, each group of about [`GROUP`] tokens and of at least one text.
fn groups(order: &[usize], tokens: &[Vec<u32>]) -> Vec<Vec<usize>> {
    let mut groups: Vec<Vec<usize>> = Vec::new();
    let mut room = 0;
    for at in order {
        let length = tokens.get(*at).map_or(0, Vec::len);
        match groups.last_mut() {
            Some(group) if length <= room => group.push(*at),
            _ => {
                groups.push(vec![*at]);
                room = GROUP;
            }
        }
        room = room.saturating_sub(length);
    }
    groups
}

impl Layer {
    fn load(at: usize, config: &Config, named: &Named) -> Result<Self, LocalError> {
        let (hidden, inner, epsilon) = (config.hidden_size, config.intermediate_size, config.layer_norm_eps as f32);
        let name = |part: &str| format!("encoder.layer.{at}.{part}");
        let asked = ["query", "key", "value"].map(|part| name(&format!("attention.self.{part}")));
        let mut columns = Vec::new();
        let mut bias = Vec::new();
        for part in &asked {
            columns.push(named.turned(part, hidden, hidden)?);
            bias.extend(named.flat(&format!("{part}.bias"), &[hidden])?);
        }
        let norm = |part: &str, dense: &str| -> Result<AddNorm, LocalError> {
            let norm = named.norm(&name(part), hidden)?;
            let bias = named.flat(&format!("{}.bias", name(dense)), &[hidden])?.into();
            Ok(AddNorm { bias, gain: norm.gain, shift: norm.shift, epsilon })
        };
        Ok(Self {
            attention: Tensor::cat(&columns, 1)?.contiguous()?,
            attention_bias: bias.into(),
            mix: named.turned(&name("attention.output.dense"), hidden, hidden)?,
            mix_norm: norm("attention.output.LayerNorm", "attention.output.dense")?,
            up: named.turned(&name("intermediate.dense"), inner, hidden)?,
            gelu: BiasGelu { bias: named.flat(&name("intermediate.dense.bias"), &[inner])?.into() },
            down: named.turned(&name("output.dense"), hidden, inner)?,
            down_norm: norm("output.LayerNorm", "output.dense")?,
        })
    }

    fn forward(&self, state: &Tensor, lengths: &[usize], heads: usize) -> candle_core::Result<Tensor> {
        let asked = state.matmul(&self.attention)?;
        let attention = Attention { lengths: lengths.to_vec(), heads, bias: Arc::clone(&self.attention_bias) };
        let mixed = asked.apply_op1_no_bwd(&attention)?.matmul(&self.mix)?;
        mixed.inplace_op2(state, &self.mix_norm)?;
        let inner = mixed.matmul(&self.up)?;
        inner.inplace_op1(&self.gelu)?;
        let out = inner.matmul(&self.down)?;
        out.inplace_op2(&mixed, &self.down_norm)?;
        Ok(out)
    }
}

/// A folder's tensors, with or without the prefix that models with a head carry.
struct Named {
    weights: Weights,
    prefix: &'static str,
}

impl Named {
    fn tensor(&self, name: &str, shape: &[usize]) -> Result<Tensor, LocalError> {
        self.weights.get(&format!("{}{name}", self.prefix), shape, DType::F32, &Device::Cpu)
    }

    fn flat(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, LocalError> {
        Ok(self.tensor(name, shape)?.flatten_all()?.to_vec1()?)
    }

    /// A layer's matrix, turned so that states are multiplied from the left.
    fn turned(&self, name: &str, rows: usize, columns: usize) -> Result<Tensor, LocalError> {
        Ok(self.tensor(&format!("{name}.weight"), &[rows, columns])?.t()?.contiguous()?)
    }

    fn norm(&self, name: &str, width: usize) -> Result<Norm, LocalError> {
        let part = |part: &str| self.flat(&format!("{name}.{part}"), &[width]);
        Ok(Norm { gain: part("weight")?.into(), shift: part("bias")?.into() })
    }
}

impl Config {
    fn check(&self, file: &Path) -> Result<(), LocalError> {
        let refuse = |what: &str| Err(LocalError::malformed(file, format!("{what} is not supported")));
        if self.num_attention_heads == 0
            || !self.hidden_size.is_multiple_of(self.num_attention_heads)
            || self.hidden_size == 0
        {
            return Err(LocalError::malformed(file, "its width does not fit its heads"));
        }
        if self.hidden_act.as_deref().is_some_and(|name| name != "gelu") {
            return refuse("another activation than gelu");
        }
        if self.position_embedding_type.as_deref().is_some_and(|name| name != "absolute") {
            return refuse("another kind of positions than absolute ones");
        }
        Ok(())
    }
}

/// Most tokens of a text: what sentence-transformers set, if they did, and never more than there are positions for.
fn longest(folder: &Path, config: &Config) -> Result<usize, LocalError> {
    let file = folder.join("sentence_bert_config.json");
    let set = if file.exists() { folder::json::<Value>(&file)?["max_seq_length"].as_u64() } else { None };
    let set = set.and_then(|set| usize::try_from(set).ok()).unwrap_or(usize::MAX);
    Ok(set.min(config.max_position_embeddings).max(2))
}

fn pooling(folder: &Path) -> Result<Pooling, LocalError> {
    let file = folder.join("1_Pooling/config.json");
    if !file.exists() {
        return Ok(Pooling::Mean);
    }
    let config: Value = folder::json(&file)?;
    match (config["pooling_mode_mean_tokens"].as_bool(), config["pooling_mode_cls_token"].as_bool()) {
        (Some(true), None | Some(false)) => Ok(Pooling::Mean),
        (None | Some(false), Some(true)) => Ok(Pooling::First),
        _ => Err(LocalError::malformed(&file, "only pooling by the mean or the first token is supported")),
    }
}
