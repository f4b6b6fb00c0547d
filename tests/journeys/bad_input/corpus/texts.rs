//! Texts that people, and people with other plans, write: scripts of the world, and injections of all kinds.

use super::{Bodies, Fate, STRING};

pub(super) fn add(bodies: &mut Bodies) {
    scripts(bodies);
    emoji(bodies);
    databases(bodies);
    programs(bodies);
    terminals_and_logs(bodies);
}

fn scripts(bodies: &mut Bodies) {
    let texts = [
        (
            "Arabic, with Latin inside",
            "\u{62a}\u{645} \u{627}\u{644}\u{62a}\u{633}\u{644}\u{64a}\u{645} (PAID) 123",
        ),
        ("Hebrew with vowels", "\u{5e0}\u{5b0}\u{5de}\u{5b0}\u{5e1}\u{5b0}\u{5e8}\u{5b8}\u{5d4}"),
        ("Chinese", "已签收，感谢使用"),
        ("Chinese beyond the first plane", "\u{20000}\u{2a6df}\u{2f800}"),
        ("Japanese of half width", "\u{ff8a}\u{ff9f}\u{ff70}\u{ff7e}\u{ff99}"),
        ("Korean in parts", "\u{1112}\u{1161}\u{11ab}\u{1100}\u{1173}\u{11af}"),
        ("Thai", "จัดส่งแล้ว"),
        ("Devanagari", "वितरित"),
        ("Greek and Cyrillic that look Latin", "\u{391}\u{412}\u{421}\u{430}\u{435}\u{3bf}"),
        ("Turkish and German case", "\u{130}I\u{131}i \u{df}\u{1e9e}"),
        ("composed and decomposed", "\u{fc} u\u{308} \u{1ed9} o\u{323}\u{302}"),
        (
            "a letter with many marks",
            "Z\u{300}\u{301}\u{302}\u{334}\u{335}\u{336}\u{338}\u{489}\u{34f}\u{35c}",
        ),
        ("bidirectional overrides", "\u{202a}a\u{202b}b\u{202c}\u{202d}c\u{202e}d\u{2066}e\u{2069}"),
        ("invisible letters", "\u{200b}\u{200c}\u{200d}\u{2060}\u{ad}\u{61c}\u{3164}"),
        ("ligatures and full width", "\u{fb03}\u{fdfa}\u{ff21}\u{ff1c}\u{ff07}"),
    ];
    bodies.named("script", Fate::Fact, STRING, texts);
    let marks = "Z".to_owned() + &"\u{301}".repeat(10_000);
    bodies.named("script", Fate::Fact, STRING, [("a letter with 10,000 marks", marks)]);
}

fn emoji(bodies: &mut Bodies) {
    let texts = [
        ("a parcel", "\u{1f4e6}"),
        ("a family", "\u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f467}\u{200d}\u{1f466}"),
        ("a flag", "\u{1f3f4}\u{e0067}\u{e0062}\u{e0073}\u{e0063}\u{e0074}\u{e007f}"),
        ("half a flag", "\u{1f1e9}"),
        ("skin tones", "\u{1f44d}\u{1f3fb}\u{1f44d}\u{1f3ff}"),
        ("keycaps", "1\u{fe0f}\u{20e3}#\u{20e3}"),
    ];
    bodies.named("emoji", Fate::Fact, STRING, texts);
    bodies.named("emoji", Fate::Fact, STRING, [("50,000", "\u{1f4e6}".repeat(50_000))]);
}

/// What a warehouse must take as text: SQL, and the marks of bulk formats.
fn databases(bodies: &mut Bodies) {
    let words = r#"
        $1 ? %s%n%x \\N \\. \\copy \\x00 \\ \\\\ ' '' E'\\'' ` \" a\tb\nc\rd a,b;c|d \"a\",\"b\" -- /* */ NULL
        {a,b} {\\ (1,2) [1,2] s3://bucket/* read_csv('/etc/passwd') {\"$gt\":\"\"} *)(uid=*))(|(uid=* +1+1 @SUM(1)"#;
    bodies.words("database", Fate::Fact, STRING, words);
    let texts = [
        "'; drop table raw.tracking_event; --",
        "' or '1'='1",
        "1; select pg_sleep(10)",
        "$$; select 1; $$",
        "attach 'x.db'",
        "{{ config(materialized='table') }}",
        "{% raw %}",
        "=cmd|' /C calc'!A0",
    ];
    bodies.each("database", Fate::Fact, STRING, &texts);
}

/// What a page, a shell or a logging library might run.
fn programs(bodies: &mut Bodies) {
    let words = r"
        <script>alert(1)</script> javascript:alert(1) &lt;b&gt;&#0; ]]> ${jndi:ldap://127.0.0.1/x} ${env:HOME} #{7*7}
        {{7*7}} <%=7*7%> $(reboot) `reboot` ;reboot |reboot &&reboot %0aSet-Cookie:x ../../../../etc/passwd
        ..\\..\\windows file:///dev/zero http://169.254.169.254/latest/meta-data/ \\\\host\\share CON aux.txt
        /dev/null -rf --help ~root %00 %c0%ae %u0000";
    bodies.words("program", Fate::Fact, STRING, words);
    let texts = [
        "</script><svg onload=alert(1)>",
        "<img src=x onerror=alert(1)>",
        "<!--#exec cmd='ls'-->",
        "<!ENTITY x SYSTEM 'file:///etc/passwd'>",
    ];
    bodies.each("program", Fate::Fact, STRING, &texts);
}

/// What would forge a line of a log, or play with the terminal of its reader.
fn terminals_and_logs(bodies: &mut Bodies) {
    let words = r"
        \r\n \r \n a\rb \f\f \b\b\b\b \u0007\u0007 \u000e\u000f \u0085x \u2028forged \u0000\u0001\u0002 \u009b31m
        \n{\u0022level\u0022:\u0022ERROR\u0022} \u001b[31mred\u001b[0m \u001b[2J\u001b[H \u001b]0;title\u0007
        \u001b]8;;http://x\u0007link\u001b]8;;\u0007 \u001bP$q\u001b\\ \u001b[6n";
    bodies.words("terminal", Fate::Fact, STRING, words);
    let texts = [r"x\r\n2026-07-09T00:00:00Z ERROR forged", r"level=error msg=\u0022forged\u0022"];
    bodies.each("terminal", Fate::Fact, STRING, &texts);
}
