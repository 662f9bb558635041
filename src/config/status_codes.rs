//! HTTP status codes as a variable lists them: `500,502-504`.

/// A set of HTTP status codes as inclusive ranges.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StatusCodes(Vec<(u16, u16)>);

impl StatusCodes {
    /// Whether `status` is one of them.
    pub fn contains(&self, status: u16) -> bool {
        self.0
            .iter()
            .any(|&(first, last)| (first..=last).contains(&status))
    }

    pub(super) fn parse(text: &str) -> Option<StatusCodes> {
        let code = |text: &str| {
            text.trim()
                .parse::<u16>()
                .ok()
                .filter(|code| (100..=999).contains(code))
        };
        let range = |item: &str| match item.split_once('-') {
            Some((first, last)) => {
                Some((code(first)?, code(last)?)).filter(|(first, last)| first <= last)
            }
            None => code(item).map(|code| (code, code)),
        };
        text.split(',')
            .map(range)
            .collect::<Option<Vec<_>>>()
            .map(StatusCodes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_form_of_a_bad_status_list() {
        for text in ["500,", "50", "1000", "a", "500-", "-500", "500--502"] {
            assert_eq!(StatusCodes::parse(text), None, "{text}");
        }
    }
}
