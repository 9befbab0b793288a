#include "base/crypto.hpp"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>

#include <algorithm>
#include <memory>
#include <new>

#include "base/error.hpp"

namespace base {
namespace {

void require(bool done) {
    if (!done) throw std::bad_alloc{};
}

struct FreeKey {
    void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
};
struct FreeDigest {
    void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
};
struct FreeCipher {
    void operator()(EVP_CIPHER_CTX* context) const { EVP_CIPHER_CTX_free(context); }
};
using KeyHandle = std::unique_ptr<EVP_PKEY, FreeKey>;
using DigestContext = std::unique_ptr<EVP_MD_CTX, FreeDigest>;

Bytes with_domain(std::string_view domain, ByteView message) {
    Bytes signed_bytes;
    signed_bytes.reserve(domain.size() + 1 + message.size());
    signed_bytes.insert(signed_bytes.end(), domain.begin(), domain.end());
    signed_bytes.push_back(0);
    signed_bytes.insert(signed_bytes.end(), message.begin(), message.end());
    return signed_bytes;
}

EVP_CIPHER_CTX* cipher_context() {
    thread_local const std::unique_ptr<EVP_CIPHER_CTX, FreeCipher> context{EVP_CIPHER_CTX_new()};
    require(context != nullptr);
    return context.get();
}

const EVP_CIPHER* gcm() {
    static const EVP_CIPHER* cipher = EVP_CIPHER_fetch(nullptr, "AES-256-GCM", nullptr);
    require(cipher != nullptr);
    return cipher;
}

constexpr std::array<std::uint8_t, 12> kZeroNonce{};

}  // namespace

SigningKey::SigningKey(const Key& seed)
    : seed_{seed},
      public_{},
      prepared_{EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nullptr, seed.data(), seed.size()), FreeKey{}} {
    require(prepared_ != nullptr);
    std::size_t length = public_.size();
    require(EVP_PKEY_get_raw_public_key(prepared_.get(), public_.data(), &length) == 1 && length == public_.size());
}

SigningKey::~SigningKey() { wipe(seed_); }

Signature SigningKey::sign(std::string_view domain, ByteView message) const {
    const DigestContext context{EVP_MD_CTX_new()};
    require(context != nullptr);
    require(EVP_DigestSignInit(context.get(), nullptr, nullptr, nullptr, prepared_.get()) == 1);
    const auto bytes = with_domain(domain, message);
    Signature signature;
    std::size_t length = signature.size();
    require(EVP_DigestSign(context.get(), signature.data(), &length, bytes.data(), bytes.size()) == 1);
    return signature;
}

bool verify_signature(const PublicKey& key, std::string_view domain, ByteView message, const Signature& signature) {
    // An unset key is a point of order four, for which anybody can make signatures.
    if (key == PublicKey{}) return false;
    const KeyHandle handle{EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, key.data(), key.size())};
    const DigestContext context{EVP_MD_CTX_new()};
    if (handle == nullptr) return false;
    require(context != nullptr);
    if (EVP_DigestVerifyInit(context.get(), nullptr, nullptr, nullptr, handle.get()) != 1) return false;
    const auto bytes = with_domain(domain, message);
    return EVP_DigestVerify(context.get(), signature.data(), signature.size(), bytes.data(), bytes.size()) == 1;
}

void seal_once_to(Bytes& out, const Key& key, ByteView associated, ByteView plaintext) {
    auto* context = cipher_context();
    require(EVP_EncryptInit_ex2(context, gcm(), key.data(), kZeroNonce.data(), nullptr) == 1);
    int length = 0;
    if (!associated.empty()) {
        require(EVP_EncryptUpdate(context, nullptr, &length, associated.data(), static_cast<int>(associated.size())) ==
                1);
    }
    const auto start = out.size();
    out.resize(start + plaintext.size() + kSealOverhead);
    auto* cursor = out.data() + start;
    if (!plaintext.empty()) {
        require(EVP_EncryptUpdate(context, cursor, &length, plaintext.data(), static_cast<int>(plaintext.size())) == 1);
        cursor += length;
    }
    require(EVP_EncryptFinal_ex(context, cursor, &length) == 1);
    require(EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_GCM_GET_TAG, kSealOverhead, out.data() + start + plaintext.size()) ==
            1);
}

Bytes seal_once(const Key& key, ByteView associated, ByteView plaintext) {
    Bytes out;
    out.reserve(plaintext.size() + kSealOverhead);
    seal_once_to(out, key, associated, plaintext);
    return out;
}

Result<Bytes> open_once(const Key& key, ByteView associated, ByteView sealed) {
    if (sealed.size() < kSealOverhead || sealed.size() > (std::size_t{1} << 30U)) return Errc::bad_signature;
    const auto ciphertext = sealed.first(sealed.size() - kSealOverhead);
    Bytes tag = to_bytes(sealed.last(kSealOverhead));
    auto* context = cipher_context();
    require(EVP_DecryptInit_ex2(context, gcm(), key.data(), kZeroNonce.data(), nullptr) == 1);
    int length = 0;
    if (!associated.empty()) {
        require(EVP_DecryptUpdate(context, nullptr, &length, associated.data(), static_cast<int>(associated.size())) ==
                1);
    }
    Bytes plaintext(ciphertext.size());
    if (!ciphertext.empty()) {
        require(EVP_DecryptUpdate(context, plaintext.data(), &length, ciphertext.data(),
                                  static_cast<int>(ciphertext.size())) == 1);
    }
    require(EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_GCM_SET_TAG, kSealOverhead, tag.data()) == 1);
    std::array<std::uint8_t, 16> rest{};
    if (EVP_DecryptFinal_ex(context, rest.data(), &length) != 1) {
        wipe(plaintext);
        return Errc::bad_signature;
    }
    return plaintext;
}

Result<Key> stretch_passphrase(std::string_view passphrase, ByteView salt, ScryptCost cost) {
    if (cost.log2_n < 1 || cost.log2_n > 20 || cost.r < 1 || cost.r > 8 || cost.p < 1 || cost.p > 4) {
        return Error{Errc::bad_format, "scrypt cost out of range (log2 N <= 20, r <= 8, p <= 4)"};
    }
    const std::uint64_t n = std::uint64_t{1} << cost.log2_n;
    const std::uint64_t memory = 128 * n * cost.r + 128ULL * cost.r * cost.p + (1U << 20U);
    Key key;
    require(EVP_PBE_scrypt(passphrase.data(), passphrase.size(), salt.data(), salt.size(), n, cost.r, cost.p, memory,
                           key.data(), key.size()) == 1);
    return key;
}

void wipe(std::span<std::uint8_t> secret) { OPENSSL_cleanse(secret.data(), secret.size()); }

}  // namespace base
