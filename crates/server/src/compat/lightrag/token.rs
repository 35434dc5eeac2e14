//! The guest token that LightRAG's clients expect while no accounts exist: a JWT (RFC 7519) signed with HS256.
//! It grants nothing: with authentication off every request is served, with or without it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;
use sha2::{Digest as _, Sha256};

/// LightRAG's public constant; a secret would suggest that the token protects something.
const SECRET: &[u8] = b"lightrag-jwt-default-secret-key!";
const LIFE_S: i64 = 24 * 3_600;

/// A guest token issued at a Unix time in seconds.
pub(crate) fn guest(now_s: i64) -> String {
    let header = json!({"alg": "HS256", "typ": "JWT"}).to_string();
    let claims = json!({
        "sub": "guest", "exp": now_s + LIFE_S, "role": "guest", "metadata": {"auth_mode": "disabled"}
    });
    let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims.to_string()));
    let signature = hmac_sha256(SECRET, signed.as_bytes());
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

/// HMAC (RFC 2104) with SHA-256 and a key of at most 64 bytes.
fn hmac_sha256(key: &[u8], message: &[u8]) -> [u8; 32] {
    let mut block = [0_u8; 64];
    for (target, byte) in block.iter_mut().zip(key) {
        *target = *byte;
    }
    let pad = |with: u8| block.map(|byte| byte ^ with);
    let inner = Sha256::new().chain_update(pad(0x36)).chain_update(message).finalize();
    Sha256::new().chain_update(pad(0x5c)).chain_update(inner).finalize().into()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn the_mac_matches_rfc_4231() {
        let hex: String =
            hmac_sha256(b"Jefe", b"what do ya want for nothing?").iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    }

    #[test]
    fn a_token_has_three_parts_and_a_day_to_live() {
        let token = guest(1_000);
        let parts: Vec<&str> = token.split('.').collect();
        assert_eq!(parts.len(), 3);
        let claims: serde_json::Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(parts[1]).unwrap()).unwrap();
        assert_eq!(claims["exp"], 87_400);
        assert_eq!(claims["metadata"]["auth_mode"], "disabled");
    }
}
