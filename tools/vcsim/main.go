// SPDX-License-Identifier: Apache-2.0

// Vcsim is a vCenter for tests: govmomi's simulator with one datacenter, DC0, whose datastores
// LocalDS_0, LocalDS_1 ... are the folders of these names in DIR/ds and outlive it.
//
// What the simulator does not do as a vCenter does is done here: /folder is for those who have
// logged in, a new file is answered with 201, one that does not fit with 507, one in a folder that
// is not there with 404 (unless -make-folders). DIR/ca.pem verifies its certificate, DIR/address
// says where it listens, DIR/vimService.wsdl is served where clients that need one look for it.
//
// While there is a file DIR/lose with the name of a call in it, the next such call is carried out
// and its answer gets lost.
package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"flag"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

const datacenter = "DC0"

var (
	dir         = flag.String("dir", "", "folder for all that is written")
	listen      = flag.String("listen", "127.0.0.1:0", "address and port; 0 is any")
	user        = flag.String("user", "user", "the one who may log in")
	password    = flag.String("password", "pass", "the password")
	datastores  = flag.Int("datastores", 2, "how many there are")
	lifetime    = flag.Duration("lifetime", 30*time.Minute, "when it ends though nobody ends it")
	makeFolders = flag.Bool("make-folders", false, "an upload makes the folders it needs")
)

func main() {
	flag.Parse()
	if *dir == "" {
		log.Fatal("-dir is missing")
	}
	if err := serve(); err != nil {
		log.Fatal(err)
	}
}

func serve() error {
	temporary := filepath.Join(*dir, "tmp")
	if err := os.MkdirAll(temporary, 0o700); err != nil {
		return err
	}
	os.Setenv("TMPDIR", temporary)
	certificate, err := certificateFor(*listen)
	if err != nil {
		return err
	}
	model := simulator.VPX()
	model.Datastore = *datastores
	model.Machine = 0
	if err := model.Create(); err != nil {
		return err
	}
	if err := keepDatastores(); err != nil {
		return err
	}
	model.Service.Listen = &url.URL{Host: *listen, User: url.UserPassword(*user, *password)}
	model.Service.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}}
	server := model.Service.NewServer()
	server.Config.Handler = &front{model.Service.ServeMux}
	address := server.Listener.Addr().String()
	if err := publish("address", []byte(address)); err != nil {
		return err
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGINT, syscall.SIGTERM)
	select {
	case <-stop:
	case <-time.After(*lifetime):
	}
	return nil
}

// keepDatastores gives each datastore a folder of its own name, instead of a temporary one.
func keepDatastores() error {
	for _, entity := range simulator.Map.All("Datastore") {
		store := entity.(*simulator.Datastore)
		folder := folderOf(store.Name)
		if err := os.MkdirAll(folder, 0o700); err != nil {
			return err
		}
		store.Info.GetDatastoreInfo().Url = folder
		store.Summary.Url = folder
	}
	return nil
}

// refresh looks how full the datastores are. A vCenter does so every few minutes.
func refresh() {
	for _, entity := range simulator.Map.All("Datastore") {
		store := entity.(*simulator.Datastore)
		simulator.Map.WithLock(store, func() {
			store.RefreshDatastore(&types.RefreshDatastore{})
		})
	}
}

func folderOf(datastore string) string {
	return filepath.Join(*dir, "ds", datastore)
}

// front stands before the simulator.
type front struct {
	simulator http.Handler
}

func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.URL.Path == "/sdk/vimService.wsdl":
		w.Header().Set("Content-Type", "text/xml")
		http.ServeFile(w, r, filepath.Join(*dir, "vimService.wsdl"))
	case !strings.HasPrefix(r.URL.Path, "/folder/"):
		refresh()
		if isToBeLost(r) {
			f.simulator.ServeHTTP(httptest.NewRecorder(), r)
			panic(http.ErrAbortHandler)
		}
		f.simulator.ServeHTTP(w, r)
	case !isLoggedIn(r):
		http.Error(w, "not logged in", http.StatusUnauthorized)
	case r.Method == http.MethodPut:
		w.WriteHeader(put(r))
	default:
		f.simulator.ServeHTTP(w, r)
	}
}

// isToBeLost tells it once, of the call that DIR/lose names.
func isToBeLost(r *http.Request) bool {
	path := filepath.Join(*dir, "lose")
	name, err := os.ReadFile(path)
	if err != nil {
		return false
	}
	body, err := io.ReadAll(r.Body)
	r.Body = io.NopCloser(bytes.NewReader(body))
	if err != nil || !bytes.Contains(body, name) {
		return false
	}
	return os.Remove(path) == nil
}

func isLoggedIn(r *http.Request) bool {
	cookie, err := r.Cookie(soap.SessionCookieName)
	if err != nil {
		return false
	}
	answer := simulator.Map.SessionManager().SessionIsActive(
		&simulator.Context{Map: simulator.Map},
		&types.SessionIsActive{SessionID: strings.Trim(cookie.Value, `"`), UserName: *user},
	)
	body, ok := answer.(*methods.SessionIsActiveBody)
	return ok && body.Res != nil && body.Res.Returnval
}

// put writes a file and returns the status to answer. As on a vCenter, what has come of a body
// that breaks off stays, and an existing file is overwritten.
func put(r *http.Request) int {
	query := r.URL.Query()
	root := folderOf(filepath.Base(query.Get("dsName")))
	if _, err := os.Stat(root); err != nil || query.Get("dcPath") != datacenter {
		return http.StatusNotFound
	}
	name := filepath.Join(root, filepath.Clean("/"+strings.TrimPrefix(r.URL.Path, "/folder/")))
	if *makeFolders {
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			return statusOf(err)
		}
	}
	status := http.StatusCreated
	if _, err := os.Stat(name); err == nil {
		status = http.StatusOK
	}
	file, err := os.Create(name)
	if err != nil {
		return statusOf(err)
	}
	_, err = io.CopyBuffer(struct{ io.Writer }{file}, r.Body, make([]byte, 1<<20))
	if closing := file.Close(); err == nil {
		err = closing
	}
	if err != nil {
		return statusOf(err)
	}
	return status
}

func statusOf(err error) int {
	switch {
	case errors.Is(err, syscall.ENOSPC):
		return http.StatusInsufficientStorage
	case os.IsNotExist(err):
		return http.StatusNotFound
	}
	log.Print(err)
	return http.StatusInternalServerError
}

// certificateFor makes an authority and a certificate, or takes those of an earlier run.
func certificateFor(address string) (tls.Certificate, error) {
	pair := filepath.Join(*dir, "server.pem")
	if _, err := os.Stat(pair); err == nil {
		return tls.LoadX509KeyPair(pair, pair)
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return tls.Certificate{}, err
	}
	authority := template("vcsim's authority")
	authority.IsCA = true
	authority.BasicConstraintsValid = true
	authority.KeyUsage = x509.KeyUsageCertSign
	authorityKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	signed, err := x509.CreateCertificate(
		rand.Reader, authority, authority, authorityKey.Public(), authorityKey)
	if err != nil {
		return tls.Certificate{}, err
	}
	if err := publish("ca.pem", block("CERTIFICATE", signed)); err != nil {
		return tls.Certificate{}, err
	}
	own := template(host)
	own.IPAddresses = []net.IP{net.ParseIP(host)}
	own.DNSNames = []string{"localhost"}
	own.KeyUsage = x509.KeyUsageDigitalSignature
	own.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	signed, err = x509.CreateCertificate(rand.Reader, own, authority, key.Public(), authorityKey)
	if err != nil {
		return tls.Certificate{}, err
	}
	hidden, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return tls.Certificate{}, err
	}
	both := append(block("CERTIFICATE", signed), block("EC PRIVATE KEY", hidden)...)
	if err := publish("server.pem", both); err != nil {
		return tls.Certificate{}, err
	}
	return tls.LoadX509KeyPair(pair, pair)
}

func template(name string) *x509.Certificate {
	now := time.Now()
	return &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()),
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    now.Add(-time.Hour),
		NotAfter:     now.AddDate(1, 0, 0),
	}
}

func block(kind string, data []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: data})
}

// publish writes a file of the folder so that nobody sees half of it.
func publish(name string, data []byte) error {
	path := filepath.Join(*dir, name)
	if err := os.WriteFile(path+".new", data, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}
