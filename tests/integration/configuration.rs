//! The document of the variables says what the code reads.

use php_fpm_lambda::config::VARIABLES;

#[test]
fn the_document_has_each_variable_as_the_code_has_it() {
    let document = include_str!("../../docs/configuration.md");
    let (variables, _) = document.split_once("\n## ").unwrap();
    let rows: Vec<&str> = variables
        .lines()
        .filter(|line| line.starts_with("| `"))
        .collect();
    let expected: Vec<String> = VARIABLES
        .iter()
        .map(|variable| {
            format!(
                "| `{}` | {} | {} | {} |",
                variable.name, variable.default, variable.allowed, variable.meaning
            )
        })
        .collect();
    assert_eq!(
        rows,
        expected,
        "docs/configuration.md has to have these rows:\n{}",
        expected.join("\n")
    );
}
