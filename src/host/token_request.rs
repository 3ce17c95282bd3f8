//! `scontrol token`: makes a token of auth/jwt for whoever asks
//! (Slurm's `_slurm_rpc_auth_token`). Any controller answers: it needs nothing but the key.

use flurm_ctld::Identity;
use flurm_rt::{Env, Ident};
use flurm_wire::messages::{ReturnCode, TokenRequest, TokenResponse};
use flurm_wire::{Errno, Message};

use crate::auth_settings::Kind;
use crate::setup::Setup;

/// How long a token lives when the request does not say (Slurm's `DEFAULT_AUTH_TOKEN_LIFESPAN`).
const LIFESPAN_DEFAULT_S: u32 = 1_800;

/// Answers a request for a token.
pub(crate) async fn answer<E: Env>(
    setup: &Setup<E>,
    asker: Identity,
    request: &TokenRequest,
) -> Message {
    match token(setup, asker, request).await {
        Ok(token) => Message::ResponseAuthToken(TokenResponse { token: Some(token) }),
        Err((errno, text)) => {
            tracing::info!(uid = asker.uid, "refused a token: {text}");
            Message::ResponseSlurmRc(ReturnCode { return_code: errno.0 })
        }
    }
}

async fn token<E: Env>(
    setup: &Setup<E>,
    asker: Identity,
    request: &TokenRequest,
) -> Result<String, (Errno, String)> {
    let refused = |errno: Errno, text: &str| Err((errno, text.to_owned()));
    let auth = setup.auth();
    let rules = Rules::of(&setup.conf().auth_alt_parameters);
    let privileged = auth.is_slurm_user(asker.uid);
    if rules.disabled && !privileged {
        return refused(Errno::ESLURM_ACCESS_DENIED, "token creation is disabled");
    }
    if !auth.settings().accepts(Kind::Jwt) {
        return refused(Errno::ESLURM_PLUGIN_NOT_LOADED, "auth/jwt is not configured");
    }
    let own = setup.env().ident().user_by_id(asker.uid).await;
    let own = own.ok().flatten().map(|user| user.name);
    let name = match (&request.username, own) {
        (Some(wanted), _) if privileged => wanted.clone(),
        (Some(wanted), Some(own)) if *wanted == own => own,
        (Some(wanted), _) => {
            return refused(Errno::ESLURM_USER_ID_MISSING, &format!("it is for {wanted}"));
        }
        (None, Some(own)) => own,
        (None, None) => return refused(Errno::ESLURM_USER_ID_MISSING, "the user has no name"),
    };
    let lifespan_s = rules.lifespan(request.lifespan, privileged);
    let lifespan_s = lifespan_s.ok_or((
        Errno::ESLURM_INVALID_TIME_LIMIT,
        format!("a life of {} s is above max_token_lifespan", request.lifespan),
    ))?;
    let Some(token) = auth.issue_jwt(&name, lifespan_s) else {
        return refused(
            Errno::ESLURM_AUTH_UNABLE_TO_GENERATE_TOKEN,
            "there is no HS256 key, or no token lives so long",
        );
    };
    tracing::info!(uid = asker.uid, "made a token for {name} for {lifespan_s} seconds");
    Ok(token)
}

/// What `AuthAltParameters` says about making tokens.
struct Rules {
    /// `disable_token_creation`.
    disabled: bool,
    /// `max_token_lifespan=`, seconds.
    lifespan_max_s: Option<u32>,
}

impl Rules {
    fn of(parameters: &flurm_conf::Parameters) -> Self {
        let max = parameters.number("max_token_lifespan").filter(|max| *max > 0);
        Self {
            disabled: parameters.has("disable_token_creation"),
            lifespan_max_s: max.map(|max| u32::try_from(max).unwrap_or(u32::MAX)),
        }
    }

    /// The life of a token in seconds; `None` when it is more than this asker may have.
    fn lifespan(&self, asked_s: u32, privileged: bool) -> Option<u32> {
        let max = self.lifespan_max_s.unwrap_or(u32::MAX);
        if asked_s == 0 {
            return Some(LIFESPAN_DEFAULT_S.min(max));
        }
        (privileged || asked_s <= max).then_some(asked_s)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flurm_conf::Parameters;

    #[test]
    fn a_life_is_bounded_for_all_but_slurm_user() {
        let rules = Rules::of(&Parameters("jwt_key=/k,max_token_lifespan=600".into()));
        assert!(!rules.disabled);
        assert_eq!(rules.lifespan(0, false), Some(600));
        assert_eq!(rules.lifespan(600, false), Some(600));
        assert_eq!(rules.lifespan(601, false), None);
        assert_eq!(rules.lifespan(601, true), Some(601));
        for free in ["", "max_token_lifespan=0", "max_token_lifespan=x"] {
            let rules = Rules::of(&Parameters(free.into()));
            assert_eq!(rules.lifespan(0, false), Some(1_800), "{free}");
            assert_eq!(rules.lifespan(u32::MAX, false), Some(u32::MAX), "{free}");
        }
        assert!(Rules::of(&Parameters("disable_token_creation".into())).disabled);
    }
}
