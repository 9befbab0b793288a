#include "tls_engine.hpp"

#include <openssl/err.h>

#include <algorithm>
#include <climits>
#include <cstring>
#include <stdexcept>

#include "base/error.hpp"
#include "x509_key.hpp"

namespace base::host {

struct TlsEngine::State {
    ByteView input;
    Bytes output;
    PeerCheck check;
    std::string offered;  // a client's ALPN, "" for a server
    Error error;
    std::optional<Error> verdict;  // of the check, once it refused
    SslPtr ssl;
};

namespace {

void must(bool done) {
    if (!done) throw std::runtime_error{"OpenSSL: " + openssl_reason()};
}

TlsEngine::State& state_of(BIO* bio) { return *static_cast<TlsEngine::State*>(BIO_get_data(bio)); }

// --- A BIO over the state's two buffers -----------------------------------------------------------------------------

int bio_read(BIO* bio, char* out, int size) {
    auto& input = state_of(bio).input;
    BIO_clear_retry_flags(bio);
    if (input.empty()) {
        BIO_set_retry_read(bio);
        return -1;
    }
    const auto count = std::min(input.size(), static_cast<std::size_t>(size));
    std::memcpy(out, input.data(), count);
    input = input.subspan(count);
    return static_cast<int>(count);
}

int bio_write(BIO* bio, const char* bytes, int size) {
    auto& output = state_of(bio).output;
    const auto* begin = reinterpret_cast<const std::uint8_t*>(bytes);  // of char it would copy one at a time
    output.insert(output.end(), begin, begin + size);
    return size;
}

long bio_control(BIO*, int command, long, void*) { return command == BIO_CTRL_FLUSH ? 1 : 0; }

int bio_create(BIO* bio) {
    BIO_set_init(bio, 1);
    return 1;
}

const BIO_METHOD* buffer_method() {
    static BIO_METHOD* const method = [] {
        BIO_METHOD* made = BIO_meth_new(BIO_TYPE_SOURCE_SINK | BIO_get_new_index(), "pelago buffers");
        must(made != nullptr);
        BIO_meth_set_read(made, bio_read);
        BIO_meth_set_write(made, bio_write);
        BIO_meth_set_ctrl(made, bio_control);
        BIO_meth_set_create(made, bio_create);
        return made;
    }();
    return method;
}

// --- Callbacks of the handshake

std::string_view agreed_alpn(const SSL* ssl) {
    const unsigned char* name = nullptr;
    unsigned length = 0;
    SSL_get0_alpn_selected(ssl, &name, &length);
    return {reinterpret_cast<const char*>(name), length};
}

Result<X509Identity> identity_of(X509* x509) {
    if (x509 == nullptr) return Error{Errc::bad_format, "no certificate"};
    const int length = i2d_X509(x509, nullptr);
    if (length <= 0 || static_cast<std::size_t>(length) > kMaxX509Bytes) {
        return Error{Errc::bad_format, "X.509 certificate too long"};
    }
    Bytes der(static_cast<std::size_t>(length));
    auto* out = der.data();
    i2d_X509(x509, &out);
    return decode_x509(der);
}

Result<void> judge(const TlsEngine::State& state, X509* x509, std::string_view alpn) {
    if (alpn != kMemberAlpn && alpn != kJoinAlpn) return Error{Errc::not_a_member, "no Pelago protocol"};
    if (!state.offered.empty() && alpn != state.offered) return Error{Errc::not_a_member, "another protocol"};
    auto identity = identity_of(x509);
    if (!identity) return Error{Errc::not_a_member, identity.error().detail()};
    return state.check(*identity, alpn);
}

/// Instead of OpenSSL's verification of a chain: there is no chain, and the one certificate must satisfy us.
int verify_peer(X509_STORE_CTX* store, void*) {
    const auto* ssl = static_cast<const SSL*>(X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx()));
    auto& state = *static_cast<TlsEngine::State*>(SSL_get_app_data(ssl));
    auto verdict = judge(state, X509_STORE_CTX_get0_cert(store), agreed_alpn(ssl));
    ERR_clear_error();
    if (verdict) return 1;
    state.verdict = std::move(verdict).error();
    // The alert becomes certificate_revoked, or bad_certificate.
    X509_STORE_CTX_set_error(store,
                             *state.verdict == Errc::removed ? X509_V_ERR_CERT_REVOKED : X509_V_ERR_CERT_UNTRUSTED);
    return 0;
}

int select_alpn(SSL*, const unsigned char** out, unsigned char* out_length, const unsigned char* in, unsigned in_length,
                void*) {
    for (unsigned at = 0; at < in_length;) {
        const unsigned length = in[at++];
        if (length > in_length - at) break;
        const std::string_view name{reinterpret_cast<const char*>(in + at), length};
        if (name == kMemberAlpn || name == kJoinAlpn) {
            *out = in + at;
            *out_length = static_cast<unsigned char>(length);
            return SSL_TLSEXT_ERR_OK;
        }
        at += length;
    }
    return SSL_TLSEXT_ERR_ALERT_FATAL;
}

/// Alerts by which a peer says what it thinks of our certificate.
bool is_refusal_of_us(int reason) {
    switch (reason) {
        case SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED:
        case SSL_R_SSLV3_ALERT_BAD_CERTIFICATE:
        case SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED:
        case SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN:
        case SSL_R_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE:
        case SSL_R_TLSV1_ALERT_ACCESS_DENIED:
        case SSL_R_TLSV1_ALERT_UNKNOWN_CA: return true;
        default: return false;
    }
}

}  // namespace

TlsContext::TlsContext(Side side, const SigningKey& key, const Certificate* certificate)
    : side_{side}, context_{SSL_CTX_new(side == Side::server ? TLS_server_method() : TLS_client_method())} {
    SSL_CTX* context = context_.get();
    must(context != nullptr);
    must(SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION) == 1);
    must(SSL_CTX_set_max_proto_version(context, TLS1_3_VERSION) == 1);
    must(SSL_CTX_set_ciphersuites(context,
                                  "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256") == 1);
    must(SSL_CTX_set1_sigalgs_list(context, "ed25519") == 1);
    must(SSL_CTX_set1_client_sigalgs_list(context, "ed25519") == 1);
    must(SSL_CTX_set1_groups_list(context, "X25519:P-256") == 1);
    // Every connection proves both keys afresh: nothing is resumed, and nothing is sent before the proof.
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_options(context, SSL_OP_NO_TICKET | SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION);
    must(SSL_CTX_set_num_tickets(context, 0) == 1);
    must(SSL_CTX_set_max_early_data(context, 0) == 1);
    SSL_CTX_set_max_cert_list(context, static_cast<long>(kMaxX509Bytes + 64));
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);

    const auto der = encode_x509(key, certificate);
    must(SSL_CTX_use_certificate_ASN1(context, static_cast<int>(der.size()), der.data()) == 1);
    must(SSL_CTX_use_PrivateKey(context, private_key_of(key).get()) == 1);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
    SSL_CTX_set_cert_verify_callback(context, verify_peer, nullptr);
    if (side == Side::server) SSL_CTX_set_alpn_select_cb(context, select_alpn, nullptr);
}

TlsEngine::TlsEngine(const TlsContext& context, PeerCheck check, std::string_view alpn)
    : state_{std::make_unique<State>()} {
    state_->check = std::move(check);
    state_->offered = alpn;
    state_->ssl.reset(SSL_new(context.get()));
    SSL* ssl = state_->ssl.get();
    must(ssl != nullptr);
    SSL_set_app_data(ssl, state_.get());
    BIO* bio = BIO_new(buffer_method());
    must(bio != nullptr);
    BIO_set_data(bio, state_.get());
    SSL_set_bio(ssl, bio, bio);
    if (context.side() == TlsContext::Side::server) {
        SSL_set_accept_state(ssl);
        return;
    }
    SSL_set_connect_state(ssl);
    std::string wire{static_cast<char>(alpn.size())};
    wire += alpn;
    must(SSL_set_alpn_protos(ssl, reinterpret_cast<const unsigned char*>(wire.data()),
                             static_cast<unsigned>(wire.size())) == 0);
}

TlsEngine::~TlsEngine() = default;

TlsEngine::Status TlsEngine::explain(int result) {
    switch (SSL_get_error(state_->ssl.get(), result)) {
        case SSL_ERROR_WANT_READ: return Status::want_input;
        case SSL_ERROR_ZERO_RETURN: return Status::closed;
        default: break;
    }
    const auto newest = ERR_peek_last_error();
    if (state_->verdict) {
        state_->error = *state_->verdict;
        ERR_clear_error();
    } else if (ERR_GET_LIB(newest) == ERR_LIB_SSL && ERR_GET_REASON(newest) == SSL_R_SSLV3_ALERT_CERTIFICATE_REVOKED) {
        state_->error = Error{Errc::removed, "the peer says that this node was removed from the network"};
        ERR_clear_error();
    } else if (ERR_GET_LIB(newest) == ERR_LIB_SSL && is_refusal_of_us(ERR_GET_REASON(newest))) {
        state_->error = Error{Errc::not_a_member, "the peer does not accept our certificate"};
        ERR_clear_error();
    } else {
        state_->error = Error{Errc::unreachable, "TLS: " + openssl_reason()};
    }
    return Status::failed;
}

TlsEngine::Status TlsEngine::handshake() {
    ERR_clear_error();
    const int result = SSL_do_handshake(state_->ssl.get());
    return result == 1 ? Status::ok : explain(result);
}

TlsEngine::Status TlsEngine::read(std::span<std::uint8_t> out, std::size_t& got) {
    ERR_clear_error();
    got = 0;
    const int result = SSL_read_ex(state_->ssl.get(), out.data(), out.size(), &got);
    return result == 1 ? Status::ok : explain(result);
}

TlsEngine::Status TlsEngine::write(ByteView plaintext) {
    while (!plaintext.empty()) {
        ERR_clear_error();
        std::size_t wrote = 0;
        const int result = SSL_write_ex(state_->ssl.get(), plaintext.data(), plaintext.size(), &wrote);
        if (result != 1) return explain(result);
        plaintext = plaintext.subspan(wrote);
    }
    return Status::ok;
}

void TlsEngine::shutdown() {
    ERR_clear_error();
    SSL_shutdown(state_->ssl.get());
    ERR_clear_error();
}

void TlsEngine::feed(ByteView ciphertext) { state_->input = ciphertext; }

Bytes& TlsEngine::output() { return state_->output; }

std::string_view TlsEngine::alpn() const { return agreed_alpn(state_->ssl.get()); }

const Error& TlsEngine::error() const { return state_->error; }

}  // namespace base::host
