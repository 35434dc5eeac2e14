//! GGUF files (<https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>): their description, their tensors, and the
//! tokenizer that they carry.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use candle_core::quantized::QMatMul;
use candle_core::quantized::gguf_file::{Content, Value};
use candle_core::{Device, Tensor};
use tokenizers::models::bpe::{BPE, Vocab};
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::tokenizer::SplitDelimiterBehavior;
use tokenizers::{AddedToken, Tokenizer};

use super::fault::LocalError;
use super::folder;
use super::llama::{LayerPart, Part, Rotation, Sizes, Source, frequencies};
use super::template::Template;

/// The names by which llama.cpp knows the pre-tokenizer of Llama 3.
const LLAMA3: [&str; 3] = ["llama-bpe", "llama3", "llama-v3"];
/// How that pre-tokenizer cuts.
const LLAMA3_PATTERN: &str = "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
/// The type of a control token in `tokenizer.ggml.token_type`.
const CONTROL: i64 = 3;

/// An open file.
pub(super) struct Gguf {
    path: PathBuf,
    content: Content,
    reader: BufReader<File>,
}

impl Gguf {
    /// Reads the description and checks that the file holds all it tells of.
    ///
    /// # Errors
    /// A missing, cut-off or foreign file.
    pub(super) fn open(path: &Path) -> Result<Self, LocalError> {
        let file = File::open(path).map_err(|error| LocalError::io(path, &error))?;
        let found = file.metadata().map_err(|error| LocalError::io(path, &error))?.len();
        let mut reader = BufReader::new(file);
        let content = Content::read(&mut reader)
            .map_err(|error| LocalError::malformed(path, format!("it is no GGUF file that can be read: {error}")))?;
        let promised = content
            .tensor_infos
            .values()
            .map(|info| content.tensor_data_offset.saturating_add(info.offset).saturating_add(bytes_of(info)))
            .max()
            .unwrap_or_default();
        if promised > found {
            return Err(LocalError::Truncated { path: path.to_owned(), promised, found });
        }
        let gguf = Self { path: path.to_owned(), content, reader };
        match gguf.text("general.architecture") {
            Some("llama") => Ok(gguf),
            other => Err(folder::other_kind(path, other.unwrap_or("unknown"), "only Llama-family GGUF files are read")),
        }
    }

    /// Bytes of weights once loaded: quantised ones as they are, the rest as 32 bits.
    pub(super) fn bytes(&self) -> u64 {
        use candle_core::quantized::GgmlDType;
        let of = |info: &candle_core::quantized::gguf_file::TensorInfo| match info.ggml_dtype {
            GgmlDType::F16 | GgmlDType::BF16 => 4 * info.shape.elem_count() as u64,
            _ => bytes_of(info),
        };
        self.content.tensor_infos.values().map(of).sum()
    }

    /// The sizes of the model.
    ///
    /// # Errors
    /// When one is missing or does not fit.
    pub(super) fn sizes(&self) -> Result<Sizes, LocalError> {
        let heads = self.number("llama.attention.head_count")?;
        let kv_heads = self.number("llama.attention.head_count_kv").unwrap_or(heads);
        let hidden = self.number("llama.embedding_length")?;
        let layers = self.number("llama.block_count")?;
        if heads == 0 || kv_heads == 0 || heads % kv_heads != 0 || layers == 0 {
            return Err(LocalError::malformed(&self.path, "its numbers of heads or layers do not fit each other"));
        }
        let head = self.number("llama.attention.key_length").unwrap_or(hidden / heads);
        if head == 0 || !head.is_multiple_of(2) {
            return Err(LocalError::malformed(&self.path, format!("a head of {head} numbers cannot be turned")));
        }
        let embedding = self.content.tensor_infos.get("token_embd.weight");
        let vocabulary = embedding.and_then(|info| info.shape.dims().first().copied());
        Ok(Sizes {
            hidden,
            inner: self.number("llama.feed_forward_length")?,
            layers,
            heads,
            kv_heads,
            head,
            vocabulary: vocabulary.ok_or_else(|| self.lacks("token_embd.weight"))?,
            epsilon: f64::from(self.decimal("llama.attention.layer_norm_rms_epsilon").unwrap_or(1e-5)),
            positions: self.number("llama.context_length")?,
        })
    }

    /// How positions turn: the file's own factors are those of Llama 3's scaling.
    ///
    /// # Errors
    /// When the factors cannot be read, or another kind of scaling is asked for.
    pub(super) fn rotation(&mut self) -> Result<Rotation, LocalError> {
        let sizes = self.sizes()?;
        if self.text("llama.rope.scaling.type").is_some_and(|kind| !matches!(kind, "none" | "linear")) {
            return Err(LocalError::malformed(&self.path, "this kind of `rope.scaling` is not supported"));
        }
        let stretch = self.decimal("llama.rope.scaling.factor").filter(|factor| *factor > 0.0).unwrap_or(1.0);
        let theta = self.decimal("llama.rope.freq_base").unwrap_or(10_000.0);
        let mut turns = frequencies(theta, sizes.head);
        turns.iter_mut().for_each(|turn| *turn /= stretch);
        if self.content.tensor_infos.contains_key("rope_freqs.weight") {
            let factors = self.content.tensor(&mut self.reader, "rope_freqs.weight", &Device::Cpu)?;
            let factors: Vec<f32> = factors.dequantize(&Device::Cpu)?.flatten_all()?.to_vec1()?;
            turns.iter_mut().zip(factors).for_each(|(turn, factor)| *turn /= factor);
        }
        Ok(Rotation { frequencies: turns, interleaved: true })
    }

    /// The tokenizer that the file carries: byte-level BPE, as Llama 3 has it.
    ///
    /// # Errors
    /// When it carries another kind.
    pub(super) fn tokenizer(&self) -> Result<Tokenizer, LocalError> {
        let wrong = |what: &str| LocalError::malformed(&self.path, what);
        if self.text("tokenizer.ggml.model") != Some("gpt2") {
            return Err(wrong(
                "its own tokenizer is of a kind that is not read; put the model's tokenizer.json beside it",
            ));
        }
        let tokens = self.strings("tokenizer.ggml.tokens")?;
        let merges = self.strings("tokenizer.ggml.merges")?;
        let types = self.list("tokenizer.ggml.token_type");
        let vocabulary: Vocab = (0..).zip(&tokens).map(|(id, token)| ((*token).to_owned(), id)).collect();
        let pairs = merges.iter().filter_map(|merge| merge.split_once(' '));
        let pairs = pairs.map(|(one, other)| (one.to_owned(), other.to_owned())).collect();
        let llama3 = match self.text("tokenizer.ggml.pre") {
            Some(pre) if LLAMA3.contains(&pre) => true,
            None | Some("default" | "gpt-2") => false,
            Some(_) => return Err(wrong("its pre-tokenizer is not known; put the model's tokenizer.json beside it")),
        };
        let bpe = BPE::builder().vocab_and_merges(vocabulary, pairs);
        let bpe = bpe.ignore_merges(llama3).build().map_err(|error| wrong(&format!("its tokenizer: {error}")))?;
        let mut tokenizer = Tokenizer::new(bpe);
        if llama3 {
            let pattern = SplitPattern::Regex(LLAMA3_PATTERN.to_owned());
            let split = Split::new(pattern, SplitDelimiterBehavior::Isolated, false)
                .map_err(|error| wrong(&format!("its tokenizer: {error}")))?;
            let bytes = ByteLevel::new(false, true, false);
            let steps = vec![PreTokenizerWrapper::Split(split), PreTokenizerWrapper::ByteLevel(bytes)];
            tokenizer.with_pre_tokenizer(Some(Sequence::new(steps)));
        } else {
            tokenizer.with_pre_tokenizer(Some(ByteLevel::new(false, true, true)));
        }
        tokenizer.with_decoder(Some(ByteLevel::default()));
        let is_control = |at: usize| types.get(at).and_then(integer) == Some(CONTROL);
        let marks = tokens.iter().enumerate().filter(|(at, _)| is_control(*at));
        let marks: Vec<AddedToken> = marks.map(|(_, token)| AddedToken::from(*token, true)).collect();
        tokenizer.add_special_tokens(marks).map_err(|error| wrong(&format!("its tokenizer: {error}")))?;
        Ok(tokenizer)
    }

    /// The token that begins a text, and those that end one, as far as the file names them.
    pub(super) fn marks(&self) -> (Option<u32>, Vec<u32>) {
        let id = |key: &str| u32::try_from(self.number(key).ok()?).ok();
        let ends = ["tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id"];
        (id("tokenizer.ggml.bos_token_id"), ends.iter().filter_map(|key| id(key)).collect())
    }

    /// The chat template that the file carries, if any.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(super) fn template(&self) -> Result<Option<Template>, LocalError> {
        let Some(text) = self.text("tokenizer.chat_template") else { return Ok(None) };
        let tokens = self.list("tokenizer.ggml.tokens");
        let mark = |key: &str| {
            let token = self.number(key).ok().and_then(|at| tokens.get(at));
            token.and_then(|token| token.to_string().ok()).cloned().unwrap_or_default()
        };
        let (begin, end) = (mark("tokenizer.ggml.bos_token_id"), mark("tokenizer.ggml.eos_token_id"));
        Template::new(&self.path, text, begin, end).map(Some)
    }

    /// The tensors, to be put on a device.
    pub(super) fn on<'a>(&'a mut self, device: &'a Device) -> OnDevice<'a> {
        OnDevice { gguf: self, device }
    }

    fn text(&self, key: &str) -> Option<&str> {
        self.content.metadata.get(key)?.to_string().ok().map(String::as_str)
    }

    fn number(&self, key: &str) -> Result<usize, LocalError> {
        let number = self.content.metadata.get(key).and_then(integer);
        number.and_then(|number| usize::try_from(number).ok()).ok_or_else(|| self.lacks(key))
    }

    fn decimal(&self, key: &str) -> Option<f32> {
        self.content.metadata.get(key)?.to_f32().ok()
    }

    fn list(&self, key: &str) -> &[Value] {
        self.content.metadata.get(key).and_then(|value| value.to_vec().ok()).map_or(&[], Vec::as_slice)
    }

    fn strings(&self, key: &str) -> Result<Vec<&str>, LocalError> {
        let strings: Vec<&str> =
            self.list(key).iter().filter_map(|value| value.to_string().ok().map(String::as_str)).collect();
        if strings.is_empty() { Err(self.lacks(key)) } else { Ok(strings) }
    }

    fn lacks(&self, what: &str) -> LocalError {
        LocalError::malformed(&self.path, format!("it has no `{what}`"))
    }
}

fn bytes_of(info: &candle_core::quantized::gguf_file::TensorInfo) -> u64 {
    let blocks = info.shape.elem_count().div_ceil(info.ggml_dtype.block_size());
    blocks.saturating_mul(info.ggml_dtype.type_size()) as u64
}

fn integer(value: &Value) -> Option<i64> {
    Some(match value {
        Value::U8(number) => i64::from(*number),
        Value::I8(number) => i64::from(*number),
        Value::U16(number) => i64::from(*number),
        Value::I16(number) => i64::from(*number),
        Value::U32(number) => i64::from(*number),
        Value::I32(number) => i64::from(*number),
        Value::U64(number) => i64::try_from(*number).ok()?,
        Value::I64(number) => *number,
        _ => return None,
    })
}

/// The tensors of a file, under llama.cpp's names.
pub(super) struct OnDevice<'a> {
    gguf: &'a mut Gguf,
    device: &'a Device,
}

impl OnDevice<'_> {
    fn tensor(&mut self, part: Part, shape: &[usize]) -> Result<candle_core::quantized::QTensor, LocalError> {
        let name = name(part);
        let Some(info) = self.gguf.content.tensor_infos.get(&name) else { return Err(self.gguf.lacks(&name)) };
        if info.shape.dims() != shape {
            let message = format!("the tensor `{name}` is {:?} instead of {shape:?}", info.shape.dims());
            return Err(LocalError::malformed(&self.gguf.path, message));
        }
        Ok(self.gguf.content.tensor(&mut self.gguf.reader, &name, self.device)?)
    }
}

impl Source for OnDevice<'_> {
    fn matrix(&mut self, part: Part, rows: usize, columns: usize) -> Result<QMatMul, LocalError> {
        Ok(QMatMul::from_qtensor(self.tensor(part, &[rows, columns])?)?)
    }

    fn vector(&mut self, part: Part, length: usize) -> Result<Tensor, LocalError> {
        Ok(self.tensor(part, &[length])?.dequantize(self.device)?)
    }

    fn has(&self, part: Part) -> bool {
        self.gguf.content.tensor_infos.contains_key(&name(part))
    }
}

fn name(part: Part) -> String {
    let (at, part) = match part {
        Part::Embedding => return "token_embd.weight".to_owned(),
        Part::Output => return "output.weight".to_owned(),
        Part::Norm => return "output_norm.weight".to_owned(),
        Part::Of(at, part) => (at, part),
    };
    let name = match part {
        LayerPart::AttentionNorm => "attn_norm",
        LayerPart::Query => "attn_q",
        LayerPart::Key => "attn_k",
        LayerPart::Value => "attn_v",
        LayerPart::Mix => "attn_output",
        LayerPart::ForwardNorm => "ffn_norm",
        LayerPart::Gate => "ffn_gate",
        LayerPart::Up => "ffn_up",
        LayerPart::Down => "ffn_down",
    };
    format!("blk.{at}.{name}.weight")
}
