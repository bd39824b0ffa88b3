//! What messages are made of, as it is stored and exported.

use judge::content::{Features, VERSION};

/// Features as they are stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FeaturesRow {
    pub(crate) version: u32,
    pub(crate) octets: Vec<u8>,
}

impl FeaturesRow {
    pub(crate) fn of(features: &Features) -> FeaturesRow {
        FeaturesRow {
            version: VERSION,
            octets: features.to_octets(),
        }
    }

    /// `None` if they are of another version, or damaged.
    pub(crate) fn read(&self) -> Option<Features> {
        match self.version {
            VERSION => Features::from_octets(&self.octets),
            _ => None,
        }
    }
}

/// Features in text, for export: their version, and their octets in base64.
pub(crate) mod text {
    use super::FeaturesRow;
    use data_encoding::BASE64;
    use judge::content::{Features, VERSION};
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

    #[derive(Serialize, Deserialize)]
    struct Text {
        version: u32,
        octets: String,
    }

    pub(crate) fn serialize<S: Serializer>(features: &Option<Features>, serializer: S) -> Result<S::Ok, S::Error> {
        let text = features.as_ref().map(|features| Text {
            version: VERSION,
            octets: BASE64.encode(&features.to_octets()),
        });
        text.serialize(serializer)
    }

    /// Features of another version are no use, and are none.
    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Features>, D::Error> {
        let Some(text) = Option::<Text>::deserialize(deserializer)? else {
            return Ok(None);
        };
        if text.version != VERSION {
            return Ok(None);
        }
        let octets = BASE64.decode(text.octets.as_bytes()).map_err(D::Error::custom)?;
        let version = text.version;
        let features = FeaturesRow { version, octets }.read();
        features
            .map(Some)
            .ok_or_else(|| D::Error::custom("the octets of `features` are none that were exported"))
    }
}
