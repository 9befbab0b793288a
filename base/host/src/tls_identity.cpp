#include "base/host/tls_identity.hpp"

#include <openssl/err.h>

#include <stdexcept>

#include "base/error.hpp"
#include "openssl_ptr.hpp"
#include "x509_key.hpp"

namespace base::host {

std::string openssl_reason() {
    std::string reason = "no reason given";
    while (const auto code = ERR_get_error()) {
        if (const char* text = ERR_reason_error_string(code)) reason = text;
    }
    return reason;
}

namespace {

/// OpenSSL refuses only for lack of memory here: all inputs are our own and of fixed form.
void must(bool done) {
    if (!done) throw std::runtime_error{"OpenSSL: " + openssl_reason()};
}

Asn1ObjectPtr membership_oid() {
    Asn1ObjectPtr oid{OBJ_txt2obj(kMembershipOid, 1)};
    must(oid != nullptr);
    return oid;
}

void set_fixed_fields(X509* x509) {
    // Validity is that of the membership certificate, checked by us with its slack; X.509 says "always" (RFC 5280,
    // 4.1.2.5: no well-defined end).
    must(X509_set_version(x509, X509_VERSION_3) == 1);
    must(ASN1_INTEGER_set(X509_get_serialNumber(x509), 1) == 1);
    must(ASN1_TIME_set_string_X509(X509_getm_notBefore(x509), "19700101000000Z") == 1);
    must(ASN1_TIME_set_string_X509(X509_getm_notAfter(x509), "99991231235959Z") == 1);
    X509_NAME* name = X509_get_subject_name(x509);
    const auto* text = reinterpret_cast<const unsigned char*>("pelago");
    must(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, text, -1, -1, 0) == 1);
    must(X509_set_issuer_name(x509, name) == 1);
}

void add_membership(X509* x509, const Certificate& certificate) {
    const auto bytes = certificate.encode();
    const Asn1StringPtr value{ASN1_OCTET_STRING_new()};
    must(value && ASN1_OCTET_STRING_set(value.get(), bytes.data(), static_cast<int>(bytes.size())) == 1);
    const auto oid = membership_oid();
    const X509ExtensionPtr extension{X509_EXTENSION_create_by_OBJ(nullptr, oid.get(), 0, value.get())};
    must(extension && X509_add_ext(x509, extension.get(), -1) == 1);
}

Result<PublicKey> ed25519_key(const X509* x509) {
    EVP_PKEY* key = X509_get0_pubkey(x509);
    PublicKey raw{};
    std::size_t length = raw.size();
    if (key == nullptr || EVP_PKEY_get_id(key) != EVP_PKEY_ED25519 ||
        EVP_PKEY_get_raw_public_key(key, raw.data(), &length) != 1 || length != raw.size()) {
        return Error{Errc::bad_format, "X.509 certificate without an Ed25519 key"};
    }
    return raw;
}

Result<std::optional<Certificate>> membership_of(const X509* x509) {
    static const auto oid = membership_oid();
    const int at = X509_get_ext_by_OBJ(x509, oid.get(), -1);
    if (at < 0) return std::optional<Certificate>{};
    if (X509_get_ext_by_OBJ(x509, oid.get(), at) >= 0) return Error{Errc::bad_format, "two membership certificates"};
    const ASN1_OCTET_STRING* value = X509_EXTENSION_get_data(X509_get_ext(x509, at));
    const ByteView bytes{ASN1_STRING_get0_data(value), static_cast<std::size_t>(ASN1_STRING_length(value))};
    BASE_TRY(auto certificate, Certificate::decode(bytes));
    return std::optional{std::move(certificate)};
}

}  // namespace

PkeyPtr private_key_of(const SigningKey& key) {
    PkeyPtr out{EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nullptr, key.seed().data(), key.seed().size())};
    must(out != nullptr);
    return out;
}

Bytes encode_x509(const SigningKey& key, const Certificate* certificate) {
    const X509Ptr x509{X509_new()};
    must(x509 != nullptr);
    const auto pair = private_key_of(key);
    set_fixed_fields(x509.get());
    must(X509_set_pubkey(x509.get(), pair.get()) == 1);
    if (certificate != nullptr) add_membership(x509.get(), *certificate);
    must(X509_sign(x509.get(), pair.get(), nullptr) > 0);
    const int length = i2d_X509(x509.get(), nullptr);
    must(length > 0);
    Bytes der(static_cast<std::size_t>(length));
    auto* out = der.data();
    must(i2d_X509(x509.get(), &out) == length);
    return der;
}

Result<X509Identity> decode_x509(ByteView der) {
    if (der.size() > kMaxX509Bytes) return Error{Errc::bad_format, "X.509 certificate too long"};
    const auto* at = der.data();
    const X509Ptr x509{d2i_X509(nullptr, &at, static_cast<long>(der.size()))};
    if (!x509 || at != der.data() + der.size()) {
        ERR_clear_error();
        return Error{Errc::bad_format, "no X.509 certificate"};
    }
    X509Identity identity;
    auto key = ed25519_key(x509.get());
    ERR_clear_error();
    if (!key) return key.error();
    identity.key = *key;
    BASE_TRY(identity.certificate, membership_of(x509.get()));
    return identity;
}

Result<Certificate> check_member(const X509Identity& identity, const TrustedNetwork& network, std::int64_t wall_ns) {
    if (!identity.certificate) return Error{Errc::not_a_member, "no membership certificate"};
    if (identity.certificate->key != identity.key) {
        return Error{Errc::not_a_member, "a certificate over another key"};
    }
    BASE_CHECK(check_certificate(*identity.certificate, network.network, network.authority, wall_ns));
    return *identity.certificate;
}

}  // namespace base::host
