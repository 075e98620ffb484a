//go:build ignore

// The frame of what docs/clients.md verifies webhooks with, which is put at its end.
package main

import (
	"bufio"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"
)

func main() {
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		given := strings.Split(lines.Text(), "\t")
		h := http.Header{}
		h.Set("webhook-id", given[1])
		h.Set("webhook-timestamp", given[2])
		h.Set("webhook-signature", given[3])
		body, err := base64.StdEncoding.DecodeString(given[4])
		if err != nil {
			panic(err)
		}
		fmt.Println(verify(given[0], h, body, time.Now()))
	}
}
