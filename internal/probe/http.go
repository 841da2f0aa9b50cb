package probe

import (
	"bufio"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
)

// userAgent lets the owner of the server's log see who asked.
const userAgent = "terraform-provider-cutover"

// maxResponse bounds everything that is read of one HTTP response, in bytes.
const maxResponse = 1 << 20

// http asks for one page and follows no redirect: what the server itself
// answers is the question.
func (c *talk) http(r Request) error {
	path := r.Path
	if path == "" {
		path = "/"
	}
	location, err := url.ParseRequestURI(path)
	if err != nil {
		return err
	}
	name := r.ServerName
	if name == "" {
		name = "localhost"
	}
	request := &http.Request{
		Method: http.MethodGet, URL: location, Host: name, Close: true,
		ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{"User-Agent": {userAgent}, "Accept": {"*/*"}},
	}
	if err := request.Write(c.conn); err != nil {
		return fmt.Errorf("GET %s: %w", path, err)
	}
	response, err := http.ReadResponse(bufio.NewReader(io.LimitReader(c.in, maxResponse)), request)
	if err != nil {
		return fmt.Errorf("GET %s for %s: waiting for the status line: %w", path, name, err)
	}
	defer func() { _ = response.Body.Close() }()
	c.greeted(printable(response.Proto + " " + response.Status))
	c.answer.Status = response.StatusCode
	c.answer.Header = Header(response.Header)
	c.answer.Body, err = io.ReadAll(io.LimitReader(response.Body, MaxBody))
	c.answer.Title = title(c.answer.Body)
	if err != nil {
		return fmt.Errorf("GET %s for %s: %s, and then the body broke off: %w", path, name, c.answer.Greeting, err)
	}
	return nil
}

var titleElement = regexp.MustCompile(`(?is)<title[^>]*>(.*?)</title\s*>`)

// title returns the text of the first title element, its blanks joined.
func title(body []byte) string {
	match := titleElement.FindSubmatch(body)
	if match == nil {
		return ""
	}
	return printable(strings.Join(strings.Fields(html.UnescapeString(string(match[1]))), " "))
}
