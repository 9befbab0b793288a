// Bytes on their way between two TlsEngines, of which some are not what was sent: nobody reads what nobody wrote.
#include <algorithm>
#include <cstdlib>

#include "tls_engine.hpp"

namespace {

using namespace base::host;
using base::Bytes;
using base::ByteView;

constexpr std::size_t kMessage = 3000;

void must(bool holds) {
    if (!holds) std::abort();
}

base::SigningKey key_of(std::uint8_t seed) {
    base::Key bytes{};
    bytes.fill(seed);
    return base::SigningKey{bytes};
}

/// What is done to one of the parcels.
struct Tampering {
    std::size_t parcel = 0;
    std::uint8_t how = 0;
    ByteView bytes;

    [[nodiscard]] Bytes done_to(Bytes sent) const {
        const auto middle = sent.begin() + static_cast<std::ptrdiff_t>(sent.size() / 2);
        switch (how % 6) {
            case 0: return base::to_bytes(bytes);
            case 1:
                for (std::size_t i = 0; i < bytes.size() && !sent.empty(); ++i) {
                    sent[i * 257 % sent.size()] ^= bytes[i];
                }
                return sent;
            case 2: sent.resize(std::min(sent.size(), bytes.size())); return sent;
            case 3: sent.insert(middle, bytes.begin(), bytes.end()); return sent;
            case 4: {
                const Bytes again = sent;
                sent.insert(sent.end(), again.begin(), again.end());
                return sent;
            }
            default: sent.insert(sent.end(), bytes.begin(), bytes.end()); return sent;
        }
    }
};

class Side {
  public:
    Side(const TlsContext& context, std::string_view alpn, std::uint8_t says)
        : engine_{context, [](const X509Identity&, std::string_view) { return base::ok(); }, alpn},
          says_(kMessage, says) {}

    void take(ByteView ciphertext) {
        if (ended_) return;
        engine_.feed(ciphertext);
        if (!proven_) {
            const auto status = engine_.handshake();
            if (status == TlsEngine::Status::want_input) return;
            if (status != TlsEngine::Status::ok) return end(status);
            proven_ = true;
            must(engine_.write(says_) == TlsEngine::Status::ok);
        }
        Bytes buffer(777);
        for (;;) {
            std::size_t got = 0;
            const auto status = engine_.read(buffer, got);
            must((got > 0) == (status == TlsEngine::Status::ok) && got <= buffer.size());
            heard_.insert(heard_.end(), buffer.begin(), buffer.begin() + static_cast<std::ptrdiff_t>(got));
            if (status == TlsEngine::Status::want_input) return;
            if (status != TlsEngine::Status::ok) return end(status);
        }
    }
    [[nodiscard]] Bytes give() { return std::exchange(engine_.output(), {}); }
    [[nodiscard]] bool proven() const { return proven_; }
    [[nodiscard]] const Bytes& says() const { return says_; }
    [[nodiscard]] const Bytes& heard() const { return heard_; }

  private:
    void end(TlsEngine::Status status) {
        ended_ = true;
        must(status != TlsEngine::Status::failed || !engine_.error().message().empty());
    }

    TlsEngine engine_;
    Bytes says_;
    Bytes heard_;
    bool proven_ = false;
    bool ended_ = false;
};

bool is_beginning(const Bytes& part, const Bytes& whole) {
    return part.size() <= whole.size() && std::equal(part.begin(), part.end(), whole.begin());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static const TlsContext server_context{TlsContext::Side::server, key_of(1), nullptr};
    static const TlsContext client_context{TlsContext::Side::client, key_of(2), nullptr};
    if (size < 2) return 0;
    const Tampering tampering{data[0] % std::size_t{8}, data[1], ByteView{data + 2, size - 2}};
    Side server{server_context, {}, 's'};
    Side client{client_context, kMemberAlpn, 'c'};
    client.take({});
    bool changed = false;
    for (std::size_t parcel = 0; parcel < 12; ++parcel) {
        auto& from = parcel % 2 == 0 ? client : server;
        auto& to = parcel % 2 == 0 ? server : client;
        const auto sent = from.give();
        const auto arrives = parcel == tampering.parcel ? tampering.done_to(sent) : sent;
        changed = changed || arrives != sent;
        to.take(arrives);
        must(is_beginning(server.heard(), client.says()) && is_beginning(client.heard(), server.says()));
    }
    // Nobody is let in who was answered with something else than what it sent.
    if (changed && tampering.parcel == 0 && tampering.how % 6 == 0) must(!server.proven());
    if (!changed) must(server.heard() == client.says() && client.heard() == server.says());
    return 0;
}
