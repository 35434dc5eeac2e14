//! The one table of configuration keys. `--help`, `config show`, `config check`, the reference page and
//! the suggestions for misspelt keys are all made from it.

/// What a value must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A folder; `~` stands for the home folder.
    Folder,
    /// A list of folders, separated by `:` in the environment.
    Folders,
    /// An address to listen on, `HOST:PORT`.
    Address,
    /// A whole number in an inclusive range.
    Number(u64, u64),
    /// The name of a workspace.
    Name,
    /// Any text.
    Text,
    /// An http or https address.
    Url,
    /// A credential; shown masked. Also read from the file that the variable with `_FILE` names.
    Secret,
    /// An amount, 0 or more.
    Decimal,
    /// One of a few words.
    Choice(&'static [&'static str]),
}

impl Kind {
    /// How the reference names it.
    pub fn describe(self) -> String {
        match self {
            Self::Folder => "folder".to_owned(),
            Self::Folders => "folders, separated by `:`".to_owned(),
            Self::Address => "HOST:PORT".to_owned(),
            Self::Text => "text".to_owned(),
            Self::Url => "http(s)://…".to_owned(),
            Self::Secret => "a credential".to_owned(),
            Self::Decimal => "0 or more".to_owned(),
            Self::Name => "1 to 64 letters, digits, `_` or `-`".to_owned(),
            Self::Number(least, most) => format!("{least} to {most}"),
            Self::Choice(words) => words.join(", "),
        }
    }
}

/// One key.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Dotted path in the file, e.g. `server.bind`.
    pub path: &'static str,
    /// What it must be.
    pub kind: Kind,
    /// Value when nothing else is said; may be empty.
    pub default: &'static str,
    /// One sentence.
    pub help: &'static str,
}

impl Key {
    /// Whether it stands for many.
    pub fn is_pattern(&self) -> bool {
        self.path.contains('*')
    }

    /// The name that stands in `path` where this pattern has its `*`.
    pub fn name_in<'a>(&self, path: &'a str) -> Option<&'a str> {
        let (before, after) = self.path.split_once('*')?;
        let name = path.strip_prefix(before)?.strip_suffix(after)?;
        // At the end of a path a name is one part of it.
        let fits = !after.is_empty() || !name.contains('.');
        (fits && !name.is_empty()).then_some(name)
    }

    /// The environment variable that sets it, e.g. `LOREKEEP_SERVER__BIND`.
    pub fn variable(&self) -> String {
        format!("LOREKEEP_{}", self.path.to_uppercase().replace('.', "__"))
    }
}

/// What a provider may speak.
const PROVIDER_KINDS: &[&str] = &[
    "openai",
    "compatible",
    "openrouter",
    "azure",
    "anthropic",
    "gemini",
    "ollama",
    "watsonx",
    "generate",
    "perplexity",
    "perplexity-agent",
    "embeddings",
    "cohere",
    "jina",
    "tei",
    "local",
];

/// Every key, in the order in which they are shown. `*` stands for a name of the user's choice, which may hold dots.
pub static KEYS: &[Key] = &[
    Key {
        path: "data.dir",
        kind: Kind::Folder,
        default: "",
        help: "the data folder; empty means `lorekeep` in the user's data folder",
    },
    Key {
        path: "workspace.name",
        kind: Kind::Name,
        default: "default",
        help: "the workspace that commands work in unless --workspace names another",
    },
    Key {
        path: "server.bind",
        kind: Kind::Address,
        default: "127.0.0.1:9621",
        help: "the address to listen on; other than loopback only behind a proxy that checks who asks",
    },
    Key { path: "server.max_body_mib", kind: Kind::Number(1, 4096), default: "256", help: "largest upload, in MiB" },
    Key {
        path: "server.max_concurrent_requests",
        kind: Kind::Number(1, 4096),
        default: "64",
        help: "requests worked on at once; further ones are answered 429",
    },
    Key {
        path: "server.request_timeout_s",
        kind: Kind::Number(1, 3600),
        default: "60",
        help: "time limit of a search, in seconds",
    },
    Key {
        path: "server.answer_timeout_s",
        kind: Kind::Number(1, 3600),
        default: "300",
        help: "time limit of an answer, in seconds; a model may need more than a search",
    },
    Key {
        path: "ingest.parallel",
        kind: Kind::Number(0, 256),
        default: "0",
        help: "documents worked on at once; 0 means one per core",
    },
    Key { path: "ingest.max_file_mib", kind: Kind::Number(1, 4096), default: "200", help: "largest document, in MiB" },
    Key {
        path: "ingest.chunking",
        kind: Kind::Choice(&["structure", "fixed"]),
        default: "structure",
        help: "how text is cut: along headings, tables and sentences, or by tokens alone",
    },
    Key {
        path: "ingest.chunk_tokens",
        kind: Kind::Number(50, 8000),
        default: "",
        help: "target size of a chunk in tokens; empty means the strategy's own (structure 400, fixed 1200)",
    },
    Key {
        path: "ingest.chunk_overlap",
        kind: Kind::Number(0, 4000),
        default: "100",
        help: "tokens that neighbouring chunks share, with `fixed` chunking",
    },
    Key {
        path: "ingest.watch",
        kind: Kind::Folders,
        default: "",
        help: "folders that `serve` indexes and keeps watching",
    },
    Key {
        path: "ingest.input_dir",
        kind: Kind::Folder,
        default: "",
        help: "the folder that LightRAG's `POST /documents/scan` reads; empty means none",
    },
    Key {
        path: "graph.extract",
        kind: Kind::Choice(&["off", "on"]),
        default: "off",
        help: "whether the model of the role `extract` makes the graph of new documents as soon as they can be searched",
    },
    Key {
        path: "graph.entity_types",
        kind: Kind::Text,
        default: "person organization location event work concept method product creature natural_object date",
        help: "types of entities that a model may give, separated by spaces",
    },
    Key {
        path: "graph.gleanings",
        kind: Kind::Number(0, 5),
        default: "1",
        help: "how often a model is asked again for what it missed in a passage; each time costs a call",
    },
    Key {
        path: "graph.parallel",
        kind: Kind::Number(1, 256),
        default: "8",
        help: "passages that a model reads at once for the graph",
    },
    Key {
        path: "graph.combine",
        kind: Kind::Choice(&["both", "model"]),
        default: "both",
        help: "what the graph of a passage that a model has read is made of: its findings with those of the built-in rules, or alone",
    },
    Key {
        path: "graph.resolve",
        kind: Kind::Choice(&["on", "off"]),
        default: "on",
        help: "whether a model that makes graphs is asked which names that look alike mean one thing, which are then joined",
    },
    Key {
        path: "llm.base_url",
        kind: Kind::Url,
        default: "",
        help: "address of the provider that writes answers; empty means that of `llm.provider`",
    },
    Key {
        path: "llm.provider",
        kind: Kind::Choice(PROVIDER_KINDS),
        default: "",
        help: "what that provider speaks; empty means what its address suggests",
    },
    Key {
        path: "llm.model",
        kind: Kind::Text,
        default: "",
        help: "the model that writes answers; empty means that answers are quoted",
    },
    Key {
        path: "llm.api_key",
        kind: Kind::Secret,
        default: "",
        help: "the provider's API key; OPENAI_API_KEY and its like are read where it is empty",
    },
    Key {
        path: "llm.max_cost_per_day_usd",
        kind: Kind::Decimal,
        default: "",
        help: "most that all models together may cost in a day (UTC)",
    },
    Key {
        path: "llm.max_cost_per_month_usd",
        kind: Kind::Decimal,
        default: "",
        help: "most that all models together may cost in a month (UTC)",
    },
    Key {
        path: "answer.tokens.system",
        kind: Kind::Number(100, 1_000_000),
        default: "700",
        help: "most tokens of the program's instructions in a prompt",
    },
    Key {
        path: "answer.tokens.brief",
        kind: Kind::Number(0, 1_000_000),
        default: "1200",
        help: "most tokens of the caller's instructions and of the summary of earlier turns",
    },
    Key {
        path: "answer.tokens.turns",
        kind: Kind::Number(0, 1_000_000),
        default: "450",
        help: "most tokens of recent turns that go along word for word",
    },
    Key {
        path: "answer.tokens.retrieved",
        kind: Kind::Number(0, 1_000_000),
        default: "3750",
        help: "most tokens of passages, entities and relations",
    },
    Key {
        path: "answer.tokens.completion",
        kind: Kind::Number(16, 1_000_000),
        default: "1000",
        help: "most tokens of an answer",
    },
    Key {
        path: "answer.tokens.total",
        kind: Kind::Number(256, 2_000_000),
        default: "8000",
        help: "most tokens of a prompt and its answer together; at least the sum of the sections",
    },
    Key {
        path: "answer.tokenizer",
        kind: Kind::Choice(&["o200k", "cl100k", "words"]),
        default: "o200k",
        help: "how tokens of prompts are counted: by a vocabulary of OpenAI's, or estimated from words",
    },
    Key {
        path: "answer.on_failure",
        kind: Kind::Choice(&["error", "quote"]),
        default: "error",
        help: "what is answered when the model fails: the error, or quotes with a notice",
    },
    Key {
        path: "answer.link_hosts",
        kind: Kind::Text,
        default: "",
        help: "hosts that links in written answers may lead to, separated by spaces; other links become text",
    },
    Key {
        path: "cache.answers",
        kind: Kind::Choice(&["on", "off"]),
        default: "on",
        help: "whether written answers are kept and given again until the documents change",
    },
    Key {
        path: "models.connect_timeout_ms",
        kind: Kind::Number(1, 600_000),
        default: "10000",
        help: "time limit for making a connection, in milliseconds",
    },
    Key {
        path: "models.first_byte_timeout_s",
        kind: Kind::Number(1, 3_600),
        default: "120",
        help: "time limit until a model begins to answer, in seconds",
    },
    Key {
        path: "models.idle_timeout_s",
        kind: Kind::Number(1, 3_600),
        default: "60",
        help: "longest silence in the middle of an answer, in seconds",
    },
    Key {
        path: "models.total_timeout_s",
        kind: Kind::Number(1, 86_400),
        default: "600",
        help: "time limit of a whole call, in seconds",
    },
    Key {
        path: "models.attempts",
        kind: Kind::Number(1, 10),
        default: "3",
        help: "attempts per call where a failure may pass",
    },
    Key {
        path: "models.slow_ms",
        kind: Kind::Number(0, 86_400_000),
        default: "0",
        help: "calls that take longer are slow; a model is left alone while four of five are; 0 switches this off",
    },
    Key {
        path: "models.concurrent",
        kind: Kind::Number(1, 4_096),
        default: "16",
        help: "calls of one model at once; further ones wait, questions before jobs",
    },
    Key {
        path: "models.idle_connections",
        kind: Kind::Number(0, 4_096),
        default: "32",
        help: "idle connections kept per provider",
    },
    Key {
        path: "cache.backend",
        kind: Kind::Choice(&["database", "memory", "none"]),
        default: "database",
        help: "where results of model calls are kept: in the data folder, in memory until the process ends, or nowhere",
    },
    Key {
        path: "cache.max_mib",
        kind: Kind::Number(1, 1_048_576),
        default: "1024",
        help: "most of them, in MiB; what was not used for longest goes first",
    },
    Key {
        path: "cache.max_entries",
        kind: Kind::Number(1, 1_000_000_000),
        default: "1000000",
        help: "most of them, by number (`memory` goes by size alone)",
    },
    Key {
        path: "cache.max_answers",
        kind: Kind::Number(1, 1_000_000_000),
        default: "10000",
        help: "most answers among them",
    },
    Key {
        path: "cache.answer_lifetime_s",
        kind: Kind::Number(1, 31_536_000),
        default: "3600",
        help: "how long an answer is kept, in seconds, a tenth more or less",
    },
    Key {
        path: "prices.file",
        kind: Kind::Text,
        default: "",
        help: "a file of prices (TOML or JSON), read again when it changes",
    },
    Key {
        path: "providers.*.kind",
        kind: Kind::Choice(PROVIDER_KINDS),
        default: "",
        help: "what the provider speaks; empty means what its address suggests",
    },
    Key { path: "providers.*.base_url", kind: Kind::Url, default: "", help: "its address; empty means the kind's own" },
    Key { path: "providers.*.api_key", kind: Kind::Secret, default: "", help: "its API key" },
    Key {
        path: "providers.*.project_id",
        kind: Kind::Text,
        default: "",
        help: "WatsonX: the project that calls are accounted to",
    },
    Key {
        path: "providers.*.space_id",
        kind: Kind::Text,
        default: "",
        help: "WatsonX: the deployment space, instead of a project",
    },
    Key {
        path: "providers.*.iam_url",
        kind: Kind::Url,
        default: "",
        help: "WatsonX: the address that tokens come from",
    },
    Key {
        path: "providers.*.api_version",
        kind: Kind::Text,
        default: "",
        help: "Azure and WatsonX: the version of the API",
    },
    Key {
        path: "providers.*.template",
        kind: Kind::Choice(&["plain", "llama3"]),
        default: "",
        help: "local `/v1/generate`: how a conversation becomes one prompt",
    },
    Key {
        path: "providers.*.path",
        kind: Kind::Folder,
        default: "",
        help: "local: the model's folder, or its .gguf file",
    },
    Key {
        path: "providers.*.context",
        kind: Kind::Number(16, 1_000_000),
        default: "",
        help: "local: tokens of a prompt and its answer together; empty means 8192",
    },
    Key {
        path: "providers.*.dimensions",
        kind: Kind::Number(1, 65_536),
        default: "",
        help: "embeddings: the length of vectors to ask for, where the model can shorten them",
    },
    Key {
        path: "providers.*.query_prefix",
        kind: Kind::Text,
        default: "",
        help: "embeddings: what is written before a question, e.g. `query: ` for E5",
    },
    Key {
        path: "providers.*.passage_prefix",
        kind: Kind::Text,
        default: "",
        help: "embeddings: what is written before a passage, e.g. `passage: ` for E5",
    },
    Key {
        path: "providers.*.num_ctx",
        kind: Kind::Number(256, 10_000_000),
        default: "",
        help: "Ollama: tokens of context to load the model with",
    },
    Key {
        path: "providers.*.keep_alive",
        kind: Kind::Text,
        default: "",
        help: "Ollama: how long the model stays loaded, e.g. 10m",
    },
    Key {
        path: "providers.*.referer",
        kind: Kind::Text,
        default: "",
        help: "OpenRouter: the site named in its rankings",
    },
    Key {
        path: "providers.*.title",
        kind: Kind::Text,
        default: "",
        help: "OpenRouter: the application named in its rankings",
    },
    Key {
        path: "roles.*",
        kind: Kind::Text,
        default: "",
        help: "models of a role in order of preference, PROVIDER/MODEL separated by commas; roles are extract, keywords, summarize, answer, judge, translate, embed, rerank, vision, transcribe, speak",
    },
    Key {
        path: "keys.*",
        kind: Kind::Secret,
        default: "",
        help: "the key that a client of this name presents (`Authorization: Bearer` or `X-API-Key`): its calls of models are booked on the name, and `principal:NAME` limits them",
    },
    Key {
        path: "budgets.*.scope",
        kind: Kind::Text,
        default: "total",
        help: "whose calls count: total, workspace:NAME, principal:NAME (of `keys`), provider:NAME or model:PROVIDER/MODEL",
    },
    Key {
        path: "budgets.*.window",
        kind: Kind::Choice(&["day", "month"]),
        default: "day",
        help: "the time that the limit is for (UTC)",
    },
    Key { path: "budgets.*.limit_usd", kind: Kind::Decimal, default: "", help: "most that may be spent" },
    Key {
        path: "budgets.*.action",
        kind: Kind::Choice(&["402", "429", "quote"]),
        default: "402",
        help: "what happens then: an error, an error with the time to try again, or a quoted answer",
    },
    Key {
        path: "budgets.*.unpriced_usd",
        kind: Kind::Decimal,
        default: "",
        help: "what a call of a model without a price counts as; empty refuses it",
    },
    Key { path: "prices.*.input_per_mtok", kind: Kind::Decimal, default: "", help: "USD per million tokens read" },
    Key { path: "prices.*.output_per_mtok", kind: Kind::Decimal, default: "", help: "USD per million tokens written" },
    Key {
        path: "prices.*.cache_read_per_mtok",
        kind: Kind::Decimal,
        default: "",
        help: "USD per million tokens read from the provider's cache; empty means the price of input",
    },
    Key {
        path: "prompts.dir",
        kind: Kind::Folder,
        default: "",
        help: "a folder whose files replace prompts; `lorekeep config prompts DIR` writes the built-in ones there",
    },
    Key {
        path: "log.level",
        kind: Kind::Choice(&["error", "warn", "info", "debug", "trace"]),
        default: "info",
        help: "how much the server logs",
    },
    Key {
        path: "log.format",
        kind: Kind::Choice(&["auto", "text", "json"]),
        default: "auto",
        help: "log lines for people or for machines; `auto` is text on a terminal and JSON elsewhere",
    },
];

/// The key at `path`.
pub fn find(path: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.path == path).or_else(|| KEYS.iter().find(|key| key.name_in(path).is_some()))
}

/// The known path nearest to a misspelt one, if any is near.
pub fn nearest(path: &str) -> Option<&'static str> {
    KEYS.iter()
        .map(|key| (strsim::jaro_winkler(path, key.path), key.path))
        .filter(|(similarity, _)| *similarity > 0.75)
        .max_by(|(one, _), (other, _)| one.total_cmp(other))
        .map(|(_, nearest)| nearest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_key_has_a_suggestion() {
        assert_eq!(nearest("server.bnid"), Some("server.bind"));
        assert_eq!(nearest("zzz"), None);
    }

    #[test]
    fn variables_follow_the_path() {
        let variable = find("ingest.chunk_tokens").map(Key::variable);
        assert_eq!(variable.as_deref(), Some("LOREKEEP_INGEST__CHUNK_TOKENS"));
    }
}
