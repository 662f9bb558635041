//! The bootstrap as an extension that wants no events: where none is registered, Lambda ends a sandbox with SIGKILL; where one
//! is, it sends SIGTERM first.
//!
//! Source: "Lambda execution environment lifecycle", shutdown phase, and "Using the Lambda Extensions API" in AWS's
//! documentation.

use reqwest::header::{HeaderName, HeaderValue};

use super::{RuntimeApi, told};

const EXTENSION_NAME: HeaderName = HeaderName::from_static("lambda-extension-name");
const EXTENSION_ID: HeaderName = HeaderName::from_static("lambda-extension-identifier");

/// A registered extension.
pub struct Extension {
    api: RuntimeApi,
    id: HeaderValue,
}

impl RuntimeApi {
    /// Registers, which has to happen before the first invocation is asked for. `None`: Lambda does not want it, and then
    /// there is no SIGTERM.
    pub async fn register_extension(&self) -> Option<Extension> {
        let request = self.client.post(self.extension_url("register"));
        let response = request
            .header(EXTENSION_NAME, "php-fpm-lambda")
            .body("{\"events\":[]}")
            .send()
            .await
            .ok()?;
        let id = response.headers().get(EXTENSION_ID).cloned();
        told(response).await;
        Some(Extension {
            api: self.clone(),
            id: id?,
        })
    }

    fn extension_url(&self, call: &str) -> String {
        format!("{}/2020-01-01/extension/{call}", self.origin)
    }
}

impl Extension {
    /// Tells Lambda that the extension is initialized, and waits for an event that never comes.
    pub async fn wait(self) {
        let request = self.api.client.get(self.api.extension_url("event/next"));
        // what comes back, if anything does, changes nothing
        let _ = request.header(EXTENSION_ID, self.id).send().await;
    }
}
