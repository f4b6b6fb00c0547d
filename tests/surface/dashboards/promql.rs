//! PromQL, as far as names go: which series, labels and values a query speaks of.

/// Words that labels follow in parentheses.
const LABEL_LISTS: [&str; 6] = ["by", "without", "on", "ignoring", "group_left", "group_right"];
/// Words of PromQL that stand alone and are no names.
const KEYWORDS: [&str; 5] = ["and", "or", "unless", "offset", "bool"];

#[derive(Debug, PartialEq)]
enum Token {
    Word(String),
    Text(String),
    Sign(char),
}

impl Token {
    fn word(&self) -> Option<&str> {
        match self {
            Token::Word(word) => Some(word),
            _ => None,
        }
    }

    fn text(&self) -> Option<&str> {
        match self {
            Token::Text(text) => Some(text),
            _ => None,
        }
    }
}

fn is_of_word(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || "_:.$".contains(letter)
}

fn tokens(query: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = query.chars().peekable();
    while let Some(first) = rest.next() {
        if first == '"' || first == '\'' {
            tokens.push(Token::Text(rest.by_ref().take_while(|letter| *letter != first).collect()));
        } else if is_of_word(first) {
            let mut word = String::from(first);
            while let Some(letter) = rest.next_if(|letter| is_of_word(*letter)) {
                word.push(letter);
            }
            tokens.push(Token::Word(word));
        } else if !first.is_whitespace() {
            tokens.push(Token::Sign(first));
        }
    }
    tokens
}

/// A series that a query asks for, with the labels that it must have.
pub struct Series {
    pub name: String,
    /// Name and value of each.
    pub labels: Vec<(String, String)>,
}

/// What a query speaks of.
#[derive(Default)]
pub struct Query {
    pub series: Vec<Series>,
    /// Labels of `by`, `on` and the like.
    pub grouped_by: Vec<String>,
}

fn until(tokens: &[Token], from: usize, sign: char) -> usize {
    let ahead = tokens[from..].iter().position(|token| *token == Token::Sign(sign));
    ahead.map_or(tokens.len(), |ahead| from + ahead)
}

/// Not a number, a duration, a variable, a keyword, a function or an aggregation.
fn is_name(word: &str, next: Option<&Token>) -> bool {
    let is_called = next == Some(&Token::Sign('('))
        || next.and_then(Token::word).is_some_and(|next| next == "by" || next == "without");
    word.starts_with(|first: char| first.is_ascii_alphabetic()) && !KEYWORDS.contains(&word) && !is_called
}

/// Names, labels and groups of a query, without asking whether it is a good one.
pub fn read(query: &str) -> Query {
    let tokens = tokens(query);
    let mut found = Query::default();
    let mut at = 0;
    while at < tokens.len() {
        let word = tokens[at].word();
        at += 1;
        let Some(word) = word else { continue };
        if LABEL_LISTS.contains(&word) {
            let end = until(&tokens, at, ')');
            found.grouped_by.extend(tokens[at..end].iter().filter_map(Token::word).map(str::to_owned));
            at = end;
        } else if is_name(word, tokens.get(at)) {
            let has_labels = tokens.get(at) == Some(&Token::Sign('{'));
            let end = if has_labels { until(&tokens, at, '}') } else { at };
            let names = tokens[at..end].iter().filter_map(Token::word).map(str::to_owned);
            let values = tokens[at..end].iter().filter_map(Token::text).map(str::to_owned);
            found.series.push(Series { name: word.to_owned(), labels: names.zip(values).collect() });
            at = end;
        }
    }
    found
}
