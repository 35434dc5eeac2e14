//! Tensors of a folder's safetensors files, read one by one so that no file is ever held beside its tensors
//! (<https://github.com/huggingface/safetensors#format>: eight bytes of length, a JSON header, then the values).

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::fault::LocalError;
use super::folder;

/// Longest header that is read, as the format's own library has it.
const MOST_HEADER: u64 = 100_000_000;

/// The tensors of a folder.
pub(super) struct Weights {
    folder: PathBuf,
    files: Vec<(PathBuf, File)>,
    tensors: HashMap<String, Place>,
}

struct Place {
    file: usize,
    dtype: DType,
    shape: Vec<usize>,
    start: u64,
    bytes: usize,
}

#[derive(Deserialize)]
struct Described {
    dtype: String,
    shape: Vec<usize>,
    data_offsets: [u64; 2],
}

impl Weights {
    /// Reads the headers of a folder's files.
    ///
    /// # Errors
    /// A missing, cut-off or contradictory file.
    pub(super) fn open(folder: &Path) -> Result<Self, LocalError> {
        let mut weights = Self { folder: folder.to_owned(), files: Vec::new(), tensors: HashMap::new() };
        for path in paths(folder)? {
            weights.add(&path)?;
        }
        Ok(weights)
    }

    fn add(&mut self, path: &Path) -> Result<(), LocalError> {
        let file = File::open(path).map_err(|error| LocalError::io(path, &error))?;
        let found = file.metadata().map_err(|error| LocalError::io(path, &error))?.len();
        let cut = |promised| LocalError::Truncated { path: path.to_owned(), promised, found };
        let mut length = [0; 8];
        file.read_exact_at(&mut length, 0).map_err(|_| cut(8))?;
        let header = u64::from_le_bytes(length);
        if header > MOST_HEADER {
            return Err(LocalError::malformed(path, "it is not a safetensors file: its header is too long"));
        }
        let mut text = vec![0; usize::try_from(header).unwrap_or_default()];
        file.read_exact_at(&mut text, 8).map_err(|_| cut(8 + header))?;
        let rows: Map<String, Value> = serde_json::from_slice(&text)
            .map_err(|error| LocalError::malformed(path, format!("its header is not JSON: {error}")))?;
        let (index, start, mut promised) = (self.files.len(), 8 + header, 0);
        for (name, row) in rows.into_iter().filter(|(name, _)| name != "__metadata__") {
            let described: Described = serde_json::from_value(row)
                .map_err(|error| LocalError::malformed(path, format!("the tensor `{name}`: {error}")))?;
            let Some(place) = place(&described, index, start) else {
                return Err(LocalError::malformed(path, format!("the tensor `{name}` has an impossible size or type")));
            };
            promised = promised.max(place.start.saturating_add(place.bytes as u64));
            self.tensors.insert(name, place);
        }
        if promised > found {
            return Err(cut(promised));
        }
        self.files.push((path.to_owned(), file));
        Ok(())
    }

    /// Whether there is a tensor of this name.
    pub(super) fn has(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    /// Numbers in all tensors together.
    pub(super) fn numbers(&self) -> u64 {
        self.tensors.values().map(|place| place.shape.iter().product::<usize>() as u64).sum()
    }

    /// A tensor of this very shape.
    ///
    /// # Errors
    /// When it is missing, has another shape, or cannot be read.
    pub(super) fn get(&self, name: &str, shape: &[usize], dtype: DType, device: &Device) -> Result<Tensor, LocalError> {
        let wrong = |what: String| LocalError::malformed(&self.folder, what);
        let place = self.tensors.get(name).ok_or_else(|| wrong(format!("there is no tensor `{name}`")))?;
        if place.shape != shape {
            let message = format!("the tensor `{name}` is {:?}, while config.json asks for {shape:?}", place.shape);
            return Err(wrong(message));
        }
        let (path, file) =
            self.files.get(place.file).ok_or_else(|| wrong(format!("the tensor `{name}` has no file")))?;
        let mut bytes = vec![0; place.bytes];
        file.read_exact_at(&mut bytes, place.start).map_err(|error| LocalError::io(path, &error))?;
        let tensor = Tensor::from_raw_buffer(&bytes, place.dtype, shape, &Device::Cpu)?;
        Ok(tensor.to_device(device)?.to_dtype(dtype)?)
    }
}

fn place(described: &Described, file: usize, start: u64) -> Option<Place> {
    let dtype = match described.dtype.as_str() {
        "F32" => DType::F32,
        "F16" => DType::F16,
        "BF16" => DType::BF16,
        "I64" => DType::I64,
        _ => return None,
    };
    let [from, to] = described.data_offsets;
    let bytes = usize::try_from(to.checked_sub(from)?).ok()?;
    let numbers = described.shape.iter().try_fold(1_usize, |product, side| product.checked_mul(*side))?;
    let fits = numbers.checked_mul(dtype.size_in_bytes())? == bytes;
    fits.then(|| Place { file, dtype, shape: described.shape.clone(), start: start.saturating_add(from), bytes })
}

/// The files: those that the index names, else the one, else all there are.
fn paths(folder: &Path) -> Result<Vec<PathBuf>, LocalError> {
    let index = folder.join("model.safetensors.index.json");
    if index.exists() {
        let described: Value = folder::json(&index)?;
        let names: HashSet<&str> =
            described["weight_map"].as_object().into_iter().flat_map(Map::values).filter_map(Value::as_str).collect();
        // Names come from a file: they may only name files beside it.
        if names.is_empty() || names.iter().any(|name| name.contains(['/', '\\'])) {
            return Err(LocalError::malformed(&index, "it does not name files of this folder"));
        }
        let mut paths: Vec<PathBuf> = names.into_iter().map(|name| folder.join(name)).collect();
        paths.sort();
        return Ok(paths);
    }
    let one = folder.join("model.safetensors");
    if one.exists() {
        return Ok(vec![one]);
    }
    let all = folder::files_with(folder, "safetensors")?;
    if all.is_empty() { Err(LocalError::Missing { path: one }) } else { Ok(all) }
}
