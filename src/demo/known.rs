//! The demonstration practice as `demo.env` remembers it: shell variables, one a line.

use std::collections::BTreeMap;
use std::str::FromStr;

use uuid::Uuid;

use super::Demo;
use crate::domain::text::Personal;

impl Demo {
    /// The content of `demo.env`, for a server on that host and port.
    pub fn env(&self, address: &str) -> String {
        let Self { practice, token, clinic, patient, protocol } = self;
        let token = token.expose();
        format!(
            "STIPPLE_ADDR={address}\nSTIPPLE_TOKEN={token}\nSTIPPLE_PRACTICE_ID={practice}\nSTIPPLE_CLINIC_ID={clinic}\n\
             STIPPLE_PATIENT_ID={patient}\nSTIPPLE_PROTOCOL_ID={protocol}\n"
        )
    }

    /// Reads what [`Self::env`] wrote; nothing if a value is missing or malformed.
    pub fn from_env(text: &str) -> Option<Self> {
        fn id<T: From<Uuid>>(text: Option<&str>) -> Option<T> {
            Uuid::from_str(text?).ok().map(T::from)
        }
        let values: BTreeMap<&str, &str> = text.lines().filter_map(|line| line.split_once('=')).collect();
        let value = |name: &str| values.get(name).copied();
        Some(Self {
            practice: id(value("STIPPLE_PRACTICE_ID"))?,
            token: Personal::new(value("STIPPLE_TOKEN")?.to_owned()),
            clinic: id(value("STIPPLE_CLINIC_ID"))?,
            patient: id(value("STIPPLE_PATIENT_ID"))?,
            protocol: id(value("STIPPLE_PROTOCOL_ID"))?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let id = Uuid::from_u128;
        let demo = Demo {
            practice: id(1).into(),
            token: Personal::new("secret".to_owned()),
            clinic: id(2).into(),
            patient: id(3).into(),
            protocol: id(4).into(),
        };
        let text = demo.env("127.0.0.1:50051");
        assert!(text.starts_with("STIPPLE_ADDR=127.0.0.1:50051\nSTIPPLE_TOKEN=secret\n"), "{text}");
        assert_eq!(Demo::from_env(&text).map(|read| read.env("127.0.0.1:50051")), Some(text));
        assert!(Demo::from_env("STIPPLE_TOKEN=secret").is_none());
    }
}
