#include "cli/base64.hpp"

namespace tools {

namespace {

constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

}  // namespace

std::string to_base64(base::ByteView bytes) {
    std::string out;
    for (std::size_t i = 0; i < bytes.size(); i += 3) {
        const std::size_t here = std::min<std::size_t>(3, bytes.size() - i);
        std::uint32_t group = 0;
        for (std::size_t j = 0; j < 3; ++j) group = group << 8U | (j < here ? bytes[i + j] : 0U);
        for (std::size_t j = 0; j < 4; ++j) {
            out.push_back(j <= here ? kAlphabet[group >> (18 - 6 * j) & 63U] : '=');
        }
    }
    return out;
}

std::optional<base::Bytes> from_base64(std::string_view text) {
    if (text.size() % 4 != 0) return std::nullopt;
    base::Bytes out;
    out.reserve(text.size() / 4 * 3);
    for (std::size_t i = 0; i < text.size(); i += 4) {
        const bool last = i + 4 == text.size();
        std::size_t padding = 0;
        if (last && text[i + 3] == '=') padding = text[i + 2] == '=' ? 2 : 1;
        std::uint32_t group = 0;
        for (std::size_t j = 0; j < 4; ++j) {
            const auto value = j < 4 - padding ? kAlphabet.find(text[i + j]) : 0;
            if (value == std::string_view::npos) return std::nullopt;
            group = group << 6U | static_cast<std::uint32_t>(value);
        }
        if ((group & ((1U << (8 * padding)) - 1U)) != 0) return std::nullopt;  // bits that encode nothing
        for (std::size_t j = 0; j < 3 - padding; ++j) out.push_back(static_cast<std::uint8_t>(group >> (16 - 8 * j)));
    }
    return out;
}

}  // namespace tools
