//! Reads a Rust source as tokens and finds the paths in it.

/// A piece of a source; comments, spaces, lifetimes' quotes and characters are left out.
#[derive(Debug, Clone, PartialEq)]
pub enum Token {
    /// A name, keyword or number.
    Word(String),
    /// What a string literal holds.
    Text(String),
    /// Anything else.
    Mark(char),
}

/// Takes a source apart.
pub fn tokens(source: &str) -> Vec<Token> {
    let chars: Vec<char> = source.chars().collect();
    let at = |i: usize| chars.get(i).copied().unwrap_or('\0');
    let mut found = Vec::new();
    let mut i = 0;
    while i < chars.len() {
        let c = chars[i];
        if c == '/' && at(i + 1) == '/' {
            while i < chars.len() && chars[i] != '\n' {
                i += 1;
            }
        } else if c == '/' && at(i + 1) == '*' {
            let mut depth = 0;
            loop {
                match (at(i), at(i + 1)) {
                    ('/', '*') => (depth, i) = (depth + 1, i + 2),
                    ('*', '/') => (depth, i) = (depth - 1, i + 2),
                    _ => i += 1,
                }
                if depth == 0 || i >= chars.len() {
                    break;
                }
            }
        } else if c.is_alphanumeric() || c == '_' {
            let start = i;
            while at(i).is_alphanumeric() || at(i) == '_' {
                i += 1;
            }
            let word: String = chars[start..i].iter().collect();
            let hashes = chars[i..].iter().take_while(|c| **c == '#').count();
            let raw = matches!(word.as_str(), "r" | "br" | "cr") && at(i + hashes) == '"';
            if raw {
                let end: Vec<char> = std::iter::once('"').chain(std::iter::repeat_n('#', hashes)).collect();
                let begin = i + hashes + 1;
                let length = chars[begin..].windows(end.len()).position(|window| window == end).unwrap();
                found.push(Token::Text(chars[begin..begin + length].iter().collect()));
                i = begin + length + end.len();
            } else {
                found.push(Token::Word(word));
            }
        } else if c == '"' {
            let mut text = String::new();
            i += 1;
            while i < chars.len() && chars[i] != '"' {
                if chars[i] == '\\' {
                    i += 1;
                }
                text.push(at(i));
                i += 1;
            }
            found.push(Token::Text(text));
            i += 1;
        } else if c == '\'' && at(i + 1) == '\\' {
            // What is escaped may be a quote.
            i += 3;
            while i < chars.len() && chars[i] != '\'' {
                i += 1;
            }
            i += 1;
        } else if c == '\'' && at(i + 2) == '\'' {
            i += 3;
        } else {
            if !c.is_whitespace() {
                found.push(Token::Mark(c));
            }
            i += 1;
        }
    }
    found
}

/// Whether the token at `i` is that mark.
pub fn is_mark(tokens: &[Token], i: usize, mark: char) -> bool {
    tokens.get(i) == Some(&Token::Mark(mark))
}

/// The word at `i`, if it is one.
pub fn word(tokens: &[Token], i: usize) -> Option<&str> {
    match tokens.get(i) {
        Some(Token::Word(word)) => Some(word),
        _ => None,
    }
}

/// Where the bracket that opens at `i` is closed, plus one.
pub fn closed(tokens: &[Token], mut i: usize) -> usize {
    let mut depth = 0;
    while i < tokens.len() {
        match tokens[i] {
            Token::Mark('(' | '[' | '{') => depth += 1,
            Token::Mark(')' | ']' | '}') => depth -= 1,
            _ => {}
        }
        i += 1;
        if depth == 0 {
            break;
        }
    }
    i
}

/// Leaves out the items that are compiled for tests only; their modules in other files are named.
pub fn without_tests(tokens: &[Token]) -> (Vec<Token>, Vec<String>) {
    let head = self::tokens("#[cfg(test)]");
    let (mut kept, mut modules) = (Vec::new(), Vec::new());
    let mut i = 0;
    while i < tokens.len() {
        if !tokens[i..].starts_with(&head) {
            kept.push(tokens[i].clone());
            i += 1;
            continue;
        }
        i += head.len();
        while is_mark(tokens, i, '#') {
            i = closed(tokens, i + 1);
        }
        if word(tokens, i) == Some("pub") {
            i = if is_mark(tokens, i + 1, '(') { closed(tokens, i + 1) } else { i + 1 };
        }
        if word(tokens, i) == Some("mod") && is_mark(tokens, i + 2, ';') {
            modules.extend(word(tokens, i + 1).map(str::to_owned));
        }
        while i < tokens.len() && !is_mark(tokens, i, ';') && !is_mark(tokens, i, '{') {
            i = if matches!(tokens[i], Token::Mark('(' | '[')) { closed(tokens, i) } else { i + 1 };
        }
        i = if is_mark(tokens, i, '{') { closed(tokens, i) } else { i + 1 };
    }
    (kept, modules)
}

/// Every path in a source from its first segment on; grouped and nested uses are taken apart.
pub fn paths(tokens: &[Token]) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    let mut in_use = false;
    let mut i = 0;
    while i < tokens.len() {
        let Some(first) = word(tokens, i) else {
            in_use &= !is_mark(tokens, i, ';');
            i += 1;
            continue;
        };
        if first == "use" || (first == "crate" && i > 0 && word(tokens, i - 1) == Some("extern")) {
            in_use = true;
            i += 1;
            continue;
        }
        let attribute = i > 1 && is_mark(tokens, i - 1, '[') && matches!(tokens[i - 2], Token::Mark('#' | '!'));
        let mut here = Vec::new();
        i = path(tokens, i, &mut Vec::new(), &mut here);
        // Elsewhere a word alone is a name of the place.
        found.extend(here.into_iter().filter(|path| in_use || attribute || path.len() > 1));
    }
    found
}

fn path(tokens: &[Token], mut i: usize, prefix: &mut Vec<String>, found: &mut Vec<Vec<String>>) -> usize {
    let depth = prefix.len();
    let segment = match &tokens[i] {
        Token::Word(word) => word.clone(),
        Token::Mark('*') => "*".to_owned(),
        Token::Mark('{') => {
            i += 1;
            while i < tokens.len() && !is_mark(tokens, i, '}') {
                i = path(tokens, i, prefix, found);
                if word(tokens, i) == Some("as") {
                    i += 2;
                }
                if is_mark(tokens, i, ',') {
                    i += 1;
                }
            }
            return i + 1;
        }
        // `::<`, or something else that ends a path.
        Token::Mark(_) | Token::Text(_) => {
            found.push(prefix.clone());
            return i + 1;
        }
    };
    prefix.push(segment);
    i += 1;
    if is_mark(tokens, i, ':') && is_mark(tokens, i + 1, ':') && i + 2 < tokens.len() {
        i = path(tokens, i + 2, prefix, found);
    } else {
        found.push(prefix.clone());
    }
    prefix.truncate(depth);
    i
}
