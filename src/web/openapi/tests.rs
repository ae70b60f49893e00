//! The document holds every address, and changes only where somebody sees it.
use std::collections::BTreeSet;

use super::document::document;
use crate::golden;
use crate::web::routes::routes;

#[test]
fn every_address_of_the_api_says_what_it_does() {
    for route in routes() {
        let api = ["/api/", "/webhooks/", "/health", "/metrics", "/.well-known/"]
            .iter()
            .any(|start| route.path.starts_with(start));
        assert_eq!(route.operation.is_some(), api, "{} {}: `.says(doc(…))` in routes.rs", route.method, route.path);
    }
}

#[test]
fn operations_have_names_of_their_own_and_at_least_one_good_answer() {
    let document = document(&routes());
    let mut names = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            assert!(names.insert(operation["operationId"].as_str().unwrap().to_owned()), "{method} {path}");
            let answers = operation["responses"].as_object().unwrap();
            assert!(answers.keys().any(|status| status.starts_with('2')), "{method} {path} has no good answer");
            for (status, answer) in answers {
                let known = answer["$ref"].as_str().is_none_or(|name| document.pointer(&name[1..]).is_some());
                assert!(known, "{method} {path} {status}");
            }
        }
    }
}

#[test]
fn the_document_is_as_it_was() {
    let mut text = serde_json::to_string_pretty(&document(&routes())).unwrap();
    text.push('\n');
    golden::check("src/web/openapi/openapi.golden.json", &text);
}
