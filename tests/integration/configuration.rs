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

#[test]
fn each_type_of_error_has_the_shape_that_lambda_leaves_alone_and_a_row_of_the_document() {
    let document = include_str!("../../docs/configuration.md");
    let sources = [
        include_str!("../../src/failure.rs"),
        include_str!("../../src/event/outcome.rs"),
    ];
    let code = sources.map(|source| source.split_once("#[cfg(test)]").unwrap().0);
    let types: Vec<&str> = code
        .iter()
        .flat_map(|code| code.split('"'))
        .filter(|text| text.starts_with("Runtime.") || text.starts_with("Function."))
        .collect();
    assert!(types.len() > 10, "{types:?}");
    for name in types {
        // (Runtime|Function)\.[A-Z][A-Za-z]+
        let (_, word) = name.split_once('.').unwrap();
        let is_word = word.len() > 1 && word.bytes().all(|byte| byte.is_ascii_alphabetic());
        assert!(
            is_word && word.as_bytes()[0].is_ascii_uppercase(),
            "Lambda rewrites {name}"
        );
        let row = format!("\n| `{name}` | ");
        assert!(
            document.contains(&row),
            "docs/configuration.md has no row of {name}"
        );
    }
}
