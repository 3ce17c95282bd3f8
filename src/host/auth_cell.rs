//! The authentication in force, which a daemon replaces whole when it reads its files again.
//!
//! Whoever verifies or signs takes what is in force once and keeps it to the end of that exchange, so
//! no message is judged by half of the old and half of the new.

use std::sync::{Arc, PoisonError, RwLock};

use flurm_rt::Env;

use crate::auth::Auth;
use crate::auth_settings::AuthSettings;

/// Holds what is in force. Clones hold the same.
pub(crate) struct AuthCell<E: Env> {
    held: Arc<RwLock<Arc<Auth<E>>>>,
}

impl<E: Env> Clone for AuthCell<E> {
    fn clone(&self) -> Self {
        Self { held: self.held.clone() }
    }
}

impl<E: Env> AuthCell<E> {
    /// Begins with `auth`.
    pub(crate) fn new(auth: Auth<E>) -> Self {
        Self { held: Arc::new(RwLock::new(Arc::new(auth))) }
    }

    /// What is in force.
    pub(crate) fn now(&self) -> Arc<Auth<E>> {
        self.held.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The same for good, whatever is read later: what peers that have not read anew still know.
    pub(crate) fn frozen(&self) -> Self {
        Self { held: Arc::new(RwLock::new(self.now())) }
    }

    /// Reads the keys anew, as `settings` name them. Kinds of credentials stay as the daemon began
    /// with them: its sockets and its peers depend on them.
    ///
    /// # Errors
    /// Which file is wrong, where and why; then everything is as it was.
    pub(crate) async fn reload(&self, env: &E, mut settings: AuthSettings) -> Result<(), String> {
        let before = self.now();
        if settings.keep_kinds_of(before.settings()) {
            tracing::warn!(
                "a changed AuthType, AuthAltTypes or CredType counts when the daemon is started again"
            );
        }
        let auth = Auth::load(env.clone(), settings).await?;
        if !auth.has_keys_of(&before) {
            flurm_base::sometimes!("a daemon took other keys");
            tracing::info!("other keys are in force: {auth:?}");
        }
        *self.held.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(auth);
        Ok(())
    }
}
