//! Errors of the protocol: what the daemon answers when it does not do what was asked.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::fmt;

/// One error in a configuration file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// File, if the error has one.
    pub file: Option<String>,
    /// Line, 1 and up.
    pub line: Option<u32>,
    /// Column, 1 and up.
    pub column: Option<u32>,
    /// What is wrong, in one line.
    pub message: String,
    /// All of it as people read it: with the source line and a caret under the place.
    pub text: String,
}

/// A call that was not done, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Understood and refused.
    Refused {
        /// Stable word for programs.
        reason: String,
        /// Sentence for people.
        message: String,
    },
    /// The configuration has errors.
    ConfigError {
        /// All of them.
        errors: Vec<Problem>,
    },
    /// The caller may not do this.
    PermissionDenied {
        /// Sentence for people.
        message: String,
    },
    /// No such method in the interface.
    MethodNotFound {
        /// As called.
        method: String,
    },
    /// No such interface in the service.
    InterfaceNotFound {
        /// As called.
        interface: String,
    },
    /// A parameter is missing, of the wrong type, or unknown.
    InvalidParameter {
        /// Its name.
        parameter: String,
    },
    /// The method answers more than once, and the caller did not ask for that.
    ExpectedMore,
    /// An error this version does not know.
    Other {
        /// Its full name.
        error: String,
        /// Its parameters as JSON text.
        parameters: String,
    },
}

impl Failure {
    /// Full name of the error.
    pub fn name(&self) -> &str {
        match self {
            Failure::Refused { .. } => "org.mpathd.Refused",
            Failure::ConfigError { .. } => "org.mpathd.ConfigError",
            Failure::PermissionDenied { .. } => "org.mpathd.PermissionDenied",
            Failure::MethodNotFound { .. } => "org.varlink.service.MethodNotFound",
            Failure::InterfaceNotFound { .. } => "org.varlink.service.InterfaceNotFound",
            Failure::InvalidParameter { .. } => "org.varlink.service.InvalidParameter",
            Failure::ExpectedMore => "org.varlink.service.ExpectedMore",
            Failure::Other { error, .. } => error,
        }
    }

    /// On the wire, terminator included.
    pub fn encode(&self) -> Vec<u8> {
        let parameters = match self {
            Failure::Refused { reason, message } => json!({ "reason": reason, "message": message }),
            Failure::ConfigError { errors } => json!({ "errors": errors }),
            Failure::PermissionDenied { message } => json!({ "message": message }),
            Failure::MethodNotFound { method } => json!({ "method": method }),
            Failure::InterfaceNotFound { interface } => json!({ "interface": interface }),
            Failure::InvalidParameter { parameter } => json!({ "parameter": parameter }),
            Failure::ExpectedMore | Failure::Other { .. } => json!({}),
        };
        crate::codec::encode(&json!({ "error": self.name(), "parameters": parameters }))
    }

    /// From an error's name and its parameters.
    pub(crate) fn from_wire(error: String, parameters: Value) -> Failure {
        let text = |key: &str| parameters.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        match error.as_str() {
            "org.mpathd.Refused" => Failure::Refused { reason: text("reason"), message: text("message") },
            "org.mpathd.ConfigError" => Failure::ConfigError {
                errors: parameters
                    .get("errors")
                    .and_then(|e| serde_json::from_value(e.clone()).ok())
                    .unwrap_or_default(),
            },
            "org.mpathd.PermissionDenied" => Failure::PermissionDenied { message: text("message") },
            "org.varlink.service.MethodNotFound" => Failure::MethodNotFound { method: text("method") },
            "org.varlink.service.InterfaceNotFound" => {
                Failure::InterfaceNotFound { interface: text("interface") }
            }
            "org.varlink.service.InvalidParameter" => {
                Failure::InvalidParameter { parameter: text("parameter") }
            }
            "org.varlink.service.ExpectedMore" => Failure::ExpectedMore,
            _ => Failure::Other { error, parameters: parameters.to_string() },
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Refused { message, .. } | Failure::PermissionDenied { message } => f.write_str(message),
            Failure::ConfigError { errors } => {
                write!(f, "the configuration has {} error", errors.len())?;
                f.write_str(if errors.len() == 1 { "" } else { "s" })
            }
            Failure::MethodNotFound { method } => write!(f, "the daemon has no method {method}"),
            Failure::InterfaceNotFound { interface } => write!(f, "the daemon has no interface {interface}"),
            Failure::InvalidParameter { parameter } => {
                write!(f, "the daemon does not accept parameter '{parameter}'")
            }
            Failure::ExpectedMore => f.write_str("the method answers more than once; call it with 'more'"),
            Failure::Other { error, parameters } => write!(f, "the daemon answers {error} {parameters}"),
        }
    }
}

impl std::error::Error for Failure {}
