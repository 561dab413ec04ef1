// Verifies the requests in the directories that are named, and prints true or false for each.
package main

import (
	"fmt"
	"os"
	"path/filepath"
)

func main() {
	for _, directory := range os.Args[1:] {
		bytes := func(name string) []byte {
			read, err := os.ReadFile(filepath.Join(directory, name))
			if err != nil {
				panic(err)
			}
			return read
		}
		text := func(name string) string { return string(bytes(name)) }
		fmt.Println(Verify(text("secret"), text("id"), text("timestamp"), text("signature"), bytes("body")))
	}
}
