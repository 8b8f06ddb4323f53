//! XML files in the encoding that they declare.

use std::path::Path;

use boxcam::text::{self, TextError};
use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE};

/// Reads a file as UTF-8 or UTF-16, or in the encoding of its `<?xml encoding="..."?>`.
pub(super) fn read(file: &Path) -> Result<String, TextError> {
    decode(std::fs::read(file)?)
}

fn decode(bytes: Vec<u8>) -> Result<String, TextError> {
    match declared(&bytes).filter(|_| !bytes.starts_with("\u{feff}".as_bytes())) {
        None => text::decode(bytes),
        Some(label) => {
            let failed = |cause| TextError::Encoding {
                encoding: label.clone(),
                cause,
            };
            let encoding = Encoding::for_label(label.as_bytes())
                .ok_or_else(|| failed("boxcam-train does not know this encoding"))?;
            // The declaration was read byte by byte: this is no UTF-16, whatever it says.
            if [UTF_8, UTF_16LE, UTF_16BE].contains(&encoding) {
                return text::decode(bytes);
            }
            let (decoded, had_errors) = encoding.decode_without_bom_handling(&bytes);
            match had_errors {
                true => Err(failed("it contains bytes that this encoding does not have")),
                false => Ok(decoded.into_owned()),
            }
        }
    }
}

/// The encoding in the declaration at the beginning of a file.
fn declared(bytes: &[u8]) -> Option<String> {
    let start = &bytes[..bytes.len().min(256)];
    let start = String::from_utf8_lossy(start);
    let declaration = start
        .trim_start()
        .strip_prefix("<?xml")?
        .split("?>")
        .next()?;
    let (_, value) = declaration.split_once("encoding")?;
    let value = value.trim_start().strip_prefix('=')?.trim_start();
    let quote = value
        .chars()
        .next()
        .filter(|quote| "\"'".contains(*quote))?;
    value[1..]
        .split(quote)
        .next()
        .map(|label| label.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use encoding_rs::{BIG5, EUC_KR, GB18030, GBK, SHIFT_JIS, WINDOWS_1251, WINDOWS_1252};

    use super::*;

    #[test]
    fn declared_encodings_are_decoded() {
        for (label, encoding, class) in [
            ("GBK", GBK, "杯子"),
            ("gb2312", GBK, "杯子"),
            ("gb18030", GB18030, "杯子🍕"),
            ("Shift_JIS", SHIFT_JIS, "カップ"),
            ("big5", BIG5, "杯子"),
            ("EUC-KR", EUC_KR, "머그"),
            ("windows-1252", WINDOWS_1252, "Käse"),
            ("ISO-8859-1", WINDOWS_1252, "Käse"),
            ("latin1", WINDOWS_1252, "Käse"),
            ("windows-1251", WINDOWS_1251, "кружка"),
            ("UTF-8", UTF_8, "Käse"),
            ("utf-16", UTF_8, "Käse"),
        ] {
            for declaration in [
                format!("<?xml version=\"1.0\" encoding=\"{label}\"?>"),
                format!("<?xml version='1.0' encoding = '{label}' ?>"),
            ] {
                let text = format!("{declaration}\n<name>{class}</name>");
                let (bytes, _, _) = encoding.encode(&text);
                assert_eq!(decode(bytes.into_owned()).expect(label), text);
            }
        }
        let text = "<?xml version=\"1.0\" encoding=\"GBK\"?><name>杯子</name>";
        let marked = format!("\u{feff}{text}").into_bytes();
        assert_eq!(decode(marked).expect("UTF-8"), text, "the mark is right");
        let utf16 = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
        assert_eq!(decode(utf16).expect("UTF-16"), text);
    }

    #[test]
    fn other_encodings_are_refused_by_name() {
        for (label, bytes, message) in [
            ("EBCDIC-37", "".as_bytes(), "is EBCDIC-37 text"),
            ("GBK", b"\xFF\xFF", "is GBK text that can't be decoded"),
            ("UTF-8", b"K\xE4se", "is not UTF-8 or UTF-16 text (line 1)"),
        ] {
            let declaration = format!("<?xml version=\"1.0\" encoding=\"{label}\"?>");
            let error = decode([declaration.as_bytes(), bytes].concat());
            let error = error.expect_err(label).to_string();
            assert!(error.contains(message), "{error}");
        }
    }
}
