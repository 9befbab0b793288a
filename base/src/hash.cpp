#include "base/hash.hpp"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <cstring>
#include <new>
#if defined(__x86_64__)
#include <nmmintrin.h>
#endif

namespace base {
namespace {

// OpenSSL fails here only when it is out of memory or broken: nothing a caller could do about it.
void require(bool done) {
    if (!done) throw std::bad_alloc{};
}

// Fetched once: EVP_sha256() looks its implementation up again at each EVP_DigestInit_ex.
const EVP_MD* sha256_method() {
    static const EVP_MD* method = EVP_MD_fetch(nullptr, "SHA256", nullptr);
    require(method != nullptr);
    return method;
}

struct FreeDigest {
    void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
};
using DigestContext = std::unique_ptr<EVP_MD_CTX, FreeDigest>;

EVP_MD_CTX* thread_context() {
    thread_local const DigestContext context{EVP_MD_CTX_new()};
    require(context != nullptr);
    require(EVP_DigestInit_ex2(context.get(), sha256_method(), nullptr) == 1);
    return context.get();
}

Guid finish_digest(EVP_MD_CTX* context) {
    Guid::Array out;
    unsigned length = 0;
    require(EVP_DigestFinal_ex(context, out.data(), &length) == 1 && length == out.size());
    return Guid{out};
}

constexpr std::size_t kSha256Block = 64;

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) std::uint32_t crc32c_hardware(ByteView bytes, std::uint32_t crc) {
    std::uint64_t value = crc;
    while (bytes.size() >= 8) {
        std::uint64_t word = 0;
        std::memcpy(&word, bytes.data(), 8);
        value = _mm_crc32_u64(value, word);
        bytes = bytes.subspan(8);
    }
    auto small = static_cast<std::uint32_t>(value);
    for (const auto byte : bytes) small = _mm_crc32_u8(small, byte);
    return small;
}
#endif

std::uint32_t crc32c_table(ByteView bytes, std::uint32_t crc) {
    static const auto table = [] {
        std::array<std::uint32_t, 256> entries{};
        for (std::uint32_t i = 0; i < 256; ++i) {
            std::uint32_t value = i;
            for (int bit = 0; bit < 8; ++bit) value = (value >> 1U) ^ ((value & 1U) != 0 ? 0x82F63B78U : 0U);
            entries[i] = value;
        }
        return entries;
    }();
    for (const auto byte : bytes) crc = table[(crc ^ byte) & 0xFFU] ^ (crc >> 8U);
    return crc;
}

}  // namespace

Guid sha256(ByteView bytes) { return sha256({bytes}); }

Guid sha256(std::initializer_list<ByteView> parts) {
    auto* context = thread_context();
    for (const auto part : parts) require(EVP_DigestUpdate(context, part.data(), part.size()) == 1);
    return finish_digest(context);
}

struct Sha256::State {
    DigestContext context{EVP_MD_CTX_new()};
};

Sha256::Sha256() : state_{std::make_unique<State>()} {
    require(state_->context != nullptr);
    require(EVP_DigestInit_ex2(state_->context.get(), sha256_method(), nullptr) == 1);
}
Sha256::~Sha256() = default;
Sha256::Sha256(Sha256&&) noexcept = default;
Sha256& Sha256::operator=(Sha256&&) noexcept = default;
void Sha256::update(ByteView bytes) {
    require(EVP_DigestUpdate(state_->context.get(), bytes.data(), bytes.size()) == 1);
}
Guid Sha256::finish() { return finish_digest(state_->context.get()); }

// RFC 2104 over the digest above: OpenSSL 3's EVP_MAC costs several microseconds a call in look-ups.
Digest hmac_sha256(ByteView key, std::initializer_list<ByteView> parts) {
    std::array<std::uint8_t, kSha256Block> inner{};
    if (key.size() > kSha256Block) {
        const auto hashed = sha256(key);
        std::copy(hashed.bytes().begin(), hashed.bytes().end(), inner.begin());
    } else {
        std::copy(key.begin(), key.end(), inner.begin());
    }
    auto outer = inner;
    for (auto& byte : inner) byte ^= 0x36U;
    for (auto& byte : outer) byte ^= 0x5CU;

    auto* context = thread_context();
    require(EVP_DigestUpdate(context, inner.data(), inner.size()) == 1);
    for (const auto part : parts) require(EVP_DigestUpdate(context, part.data(), part.size()) == 1);
    const auto digest = finish_digest(context);
    return sha256({outer, digest.view()}).bytes();
}

Key derive_key(ByteView secret, std::string_view label, ByteView context) {
    const std::array<std::uint8_t, 32> salt{};
    const auto extracted = hmac_sha256(salt, {secret});
    // One block of output: T(1) = HMAC(PRK, info || 0x01), with info = label, a zero byte, context.
    const std::array<std::uint8_t, 1> zero{0};
    const std::array<std::uint8_t, 1> one{1};
    return hmac_sha256(extracted, {as_bytes(label), zero, context, one});
}

std::uint32_t crc32c(ByteView bytes, std::uint32_t seed) {
#if defined(__x86_64__)
    static const bool hardware = __builtin_cpu_supports("sse4.2") != 0;
    if (hardware) return ~crc32c_hardware(bytes, ~seed);
#endif
    return ~crc32c_table(bytes, ~seed);
}

bool ends_with_crc32c(ByteView bytes) {
    if (bytes.size() < 4) return false;
    const auto sum = bytes.last(4);
    const auto expected = crc32c(bytes.first(bytes.size() - 4));
    for (std::size_t i = 0; i < 4; ++i) {
        if (sum[i] != static_cast<std::uint8_t>(expected >> (8 * i))) return false;
    }
    return true;
}

}  // namespace base
