// Protocol Buffers by one table a message: which member goes into which field, and within which limits.
//
//     PROTO_TABLE(Touch, v1::Touch, PROTO_FIELD(place), PROTO_FIELD(ids, Count{1, kMost}))
//
// A new field is a member, a line of the .proto and one PROTO_FIELD. put() and get() do the rest, whatever the types:
// numbers, enumerations, GUIDs and arrays (of exactly that size), bytes and texts, lists of all these, messages that
// have a table, an optional one. A list of GUIDs may also be one bytes field. Limits are checked before anything is
// copied. For codec sources only.
#pragma once

#include <google/protobuf/repeated_field.h>
#include <google/protobuf/stubs/logging.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "base/bytes.hpp"
#include "base/clock.hpp"
#include "base/error.hpp"
#include "base/guid.hpp"
#include "base/limits.hpp"
#include "base/result.hpp"
#include "base/transport.hpp"

namespace base::proto {

// --- limits

/// Of a number or an enumeration, or of the size of bytes or a text.
struct AtMost {
    constexpr explicit AtMost(auto limit) : most{static_cast<std::uint64_t>(limit)} {}
    std::uint64_t most;
};
struct Between {
    std::uint64_t least, most;
};
struct Capped {  ///< what is more is taken for this
    std::uint64_t most;
};
struct Count {  ///< of a list
    std::size_t least, most;
};
/// Of a duration: the unit of the field, which holds whole ones.
template <class Unit>
struct In {
    Duration most;  ///< no more is sent, none is read
};
/// A GUID that is zero, or an address without an id, is left out of the message.
struct OrNone {};
template <class Limits>
inline constexpr bool kMayBeNone = false;
template <class... Limits>
inline constexpr bool kMayBeNone<std::tuple<Limits...>> = (std::is_same_v<Limits, OrNone> || ...);

// --- tables

/// Of a type in a message: one type may travel in several. Specialised by PROTO_TABLE, in this namespace.
template <class T, class Message>
inline constexpr auto kTable = nullptr;
template <class T, class Message>
concept Tabled = !std::is_same_v<decltype(kTable<T, Message>), const std::nullptr_t>;

template <class Member, class Has, class Source, class Target, class... Limits>
struct Field {
    Member member;
    Has has;
    Source source;
    Target target;
    std::tuple<Limits...> limits;
};
template <class Member, class Has, class Source, class Target, class... Limits>
constexpr auto field(Member member, Has has, Source source, Target target, Limits... limits) {
    return Field<Member, Has, Source, Target, Limits...>{member, has, source, target, {limits...}};
}
/// What several members must keep to together; checked where it stands in the table.
template <class Holds>
struct Rule {
    Holds holds;
};
template <class Holds>
constexpr Rule<Holds> rule(Holds holds) {
    return {holds};
}
#define PROTO_TABLE(Type, Message, ...) \
    template <>                         \
    inline constexpr auto kTable<Type, Message> = std::tuple{__VA_ARGS__};
#define PROTO_FIELD_AS(of, name, ...)                                                          \
    ::base::proto::field([](auto& value) -> auto& { return value.of; },                        \
                         [](const auto& message) {                                             \
                             if constexpr (requires { message.has_##name(); })                 \
                                 return message.has_##name();                                  \
                             else                                                              \
                                 return true;                                                  \
                         },                                                                    \
                         [](const auto& message) -> decltype(auto) { return message.name(); }, \
                         [](auto& message, const auto& value, const auto&... limits) {         \
                             if constexpr (requires { message.mutable_##name(); })             \
                                 ::base::proto::put(*message.mutable_##name(), value);         \
                             else                                                              \
                                 message.set_##name(::base::proto::plain(value, limits...));   \
                         } __VA_OPT__(, ) __VA_ARGS__)
#define PROTO_FIELD(name, ...) PROTO_FIELD_AS(name, name __VA_OPT__(, ) __VA_ARGS__)

// --- from values

template <class T>
constexpr auto plain(const T& value, const auto&... /*limits*/) {
    if constexpr (std::is_enum_v<T>) {
        return static_cast<std::underlying_type_t<T>>(value);
    } else {
        return value;
    }
}
template <class Unit>
std::uint64_t plain(Duration span, In<Unit> limit) {
    return static_cast<std::uint64_t>(
        std::chrono::duration_cast<Unit>(std::clamp(span, Duration{}, limit.most)).count());
}
inline bool is_none(const Guid& id) { return id.is_zero(); }
inline bool is_none(const Address& node) { return node.id.is_zero(); }
inline void put(std::string& field, ByteView bytes) { field.assign(as_text(bytes)); }
inline void put(std::string& field, const std::string& text) { field = text; }
inline void put(std::string& field, const Guid& guid) { put(field, guid.view()); }
template <std::size_t N>
void put(std::string& field, const std::array<std::uint8_t, N>& bytes) {
    put(field, ByteView{bytes});
}
template <std::size_t N, std::size_t M>
void put(std::string& field, const std::array<std::array<std::uint8_t, N>, M>& parts) {
    for (const auto& part : parts) field.append(as_text(part));
}
inline void put(std::string& field, const std::vector<Guid>& ids) {
    field.reserve(ids.size() * Guid::kBytes);
    for (const auto& id : ids) field.append(as_text(id.view()));
}
template <class Number>
void put(google::protobuf::RepeatedField<Number>& field, const std::vector<Number>& values) {
    field.Add(values.begin(), values.end());
}
template <class Message, class T>
    requires Tabled<T, Message>
void put(Message& message, const T& value);
template <class Message, class T>
void put(google::protobuf::RepeatedPtrField<Message>& field, const std::vector<T>& values) {
    for (const auto& value : values) put(*field.Add(), value);
}
template <class Message, class T>
    requires Tabled<T, Message>
void put(Message& message, const T& value) {
    const auto put_one = [&]<class Entry>(const Entry& entry) {
        if constexpr (requires { entry.target; }) {
            const auto& member = entry.member(value);
            const auto put_into = [&](const auto&... limits) {
                if constexpr (requires { member.has_value(); }) {
                    if (member) entry.target(message, *member, limits...);
                } else if constexpr (kMayBeNone<decltype(Entry::limits)>) {
                    if (!is_none(member)) entry.target(message, member);
                } else {
                    entry.target(message, member, limits...);
                }
            };
            std::apply(put_into, entry.limits);
        }
    };
    std::apply([&](const auto&... entries) { (put_one(entries), ...); }, kTable<T, Message>);
}

// --- into values: false on anything that breaks a limit

template <class Number>
    requires std::is_arithmetic_v<Number> || std::is_enum_v<Number>
bool get(auto field, Number& out) {
    out = static_cast<Number>(field);
    return true;
}
template <class Number>
    requires std::is_arithmetic_v<Number> || std::is_enum_v<Number>
bool get(auto field, Number& out, AtMost limit) {
    out = static_cast<Number>(field);
    return field <= limit.most;
}
template <class Number>
    requires std::is_arithmetic_v<Number> || std::is_enum_v<Number>
bool get(auto field, Number& out, Between limit) {
    out = static_cast<Number>(field);
    return field >= limit.least && field <= limit.most;
}
template <class Number>
    requires std::is_arithmetic_v<Number> || std::is_enum_v<Number>
bool get(auto field, Number& out, Capped limit) {
    out = static_cast<Number>(std::min<std::uint64_t>(field, limit.most));
    return true;
}
template <class Unit>
bool get(std::uint64_t field, Duration& out, In<Unit> limit) {
    if (field > static_cast<std::uint64_t>(std::chrono::duration_cast<Unit>(limit.most).count())) return false;
    out = Unit{static_cast<typename Unit::rep>(field)};
    return true;
}
inline bool get(const std::string& field, Guid& out) {
    const auto guid = Guid::from_bytes(as_bytes(field));
    if (guid) out = *guid;
    return guid.has_value();
}
inline bool get(const std::string& field, Guid& out, OrNone) { return field.empty() || get(field, out); }
template <std::size_t N>
bool get(const std::string& field, std::array<std::uint8_t, N>& out) {
    if (field.size() != N) return false;
    std::ranges::copy(as_bytes(field), out.begin());
    return true;
}
template <std::size_t N, std::size_t M>
bool get(const std::string& field, std::array<std::array<std::uint8_t, N>, M>& out) {
    if (field.size() != N * M) return false;
    for (std::size_t i = 0; i < M; ++i) std::ranges::copy(as_bytes(field).subspan(i * N, N), out[i].begin());
    return true;
}
inline bool get(const std::string& field, Bytes& out, AtMost limit) {
    if (field.size() > limit.most) return false;
    out = to_bytes(field);
    return true;
}
inline bool get(const std::string& field, std::string& out, AtMost limit) {
    if (field.size() > limit.most) return false;
    out = field;
    return true;
}
inline bool get(const std::string& field, std::vector<Guid>& out, Count limit) {
    const auto count = field.size() / Guid::kBytes;
    if (field.size() % Guid::kBytes != 0 || count < limit.least || count > limit.most) return false;
    out.resize(count);
    for (std::size_t i = 0; i < count; ++i)
        out[i] = *Guid::from_bytes(as_bytes(field).subspan(i * Guid::kBytes, Guid::kBytes));
    return true;
}
template <class Number>
bool get(const google::protobuf::RepeatedField<Number>& field, std::vector<Number>& out, Count limit) {
    const auto count = static_cast<std::size_t>(field.size());
    if (count < limit.least || count > limit.most) return false;
    out.assign(field.begin(), field.end());
    return true;
}
template <class Message, class T>
    requires Tabled<T, Message>
bool get(const Message& message, T& out);
template <class Message, class T>
    requires Tabled<T, Message>
bool get(const Message& message, T& out, OrNone) {
    return get(message, out);
}
template <class Message, class T>
bool get(const google::protobuf::RepeatedPtrField<Message>& field, std::vector<T>& out, Count limit) {
    const auto count = static_cast<std::size_t>(field.size());
    if (count < limit.least || count > limit.most) return false;
    out.reserve(count);
    return std::ranges::all_of(field, [&](const Message& each) { return get(each, out.emplace_back()); });
}
template <class Message, class T>
    requires Tabled<T, Message>
bool get(const Message& message, T& out) {
    const auto get_one = [&]<class Entry>(const Entry& entry) {
        if constexpr (requires { entry.holds; }) {
            return entry.holds(std::as_const(out));
        } else {
            const auto into = [&](auto& member) {
                return std::apply([&](auto... limits) { return get(entry.source(message), member, limits...); },
                                  entry.limits);
            };
            auto& member = entry.member(out);
            if constexpr (requires { member.emplace(); }) {
                return !entry.has(message) || into(member.emplace());
            } else if constexpr (kMayBeNone<decltype(Entry::limits)>) {
                return !entry.has(message) || into(member);
            } else {
                return into(member);
            }
        }
    };
    return std::apply([&](const auto&... entries) { return (get_one(entries) && ...); }, kTable<T, Message>);
}

// --- whole messages

template <class Message>
Bytes serialize(const Message& message) {
    Bytes out(message.ByteSizeLong());
    message.SerializeWithCachedSizesToArray(out.data());
    return out;
}
/// What does not parse is an error of who sent it: Protocol Buffers would print a line on stderr for each such message.
inline auto* const kPrintedByProtobuf = google::protobuf::SetLogHandler(nullptr);

template <class Message>
[[nodiscard]] bool parse(Message& message, ByteView bytes) {
    return bytes.size() <= kMaxHeaderBytes && message.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()));
}
template <class Message, class T>
Bytes encode(const T& value) {
    Message out;
    put(out, value);
    return serialize(out);
}
/// Errc::bad_format, naming `what`, if the bytes do not parse or break a limit.
template <class T, class Message>
Result<T> decode(ByteView bytes, const char* what) {
    Message in;
    T out;
    if (!parse(in, bytes) || !get(in, out)) return Error{Errc::bad_format, what};
    return out;
}

}  // namespace base::proto
