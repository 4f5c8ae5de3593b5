import Testing

@testable import Commands

struct LoginPageTests {
  @Test("the page that sends a browser on holds the link as text")
  func loginPage() {
    let page = LoginPage.text("http://127.0.0.1:1/login?code=a&b=\"><script>")
    #expect(page.contains("content=\"0; url=http://127.0.0.1:1/login?code=a&amp;b=&quot;&gt;&lt;script&gt;\""))
    #expect(!page.contains("<script"))
  }
}
