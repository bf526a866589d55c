internal import COpenSSL

/// Why the configured certificates or the configured key cannot be used.
package struct TLSProblem: Error, Equatable {
    package enum Part: Sendable {
        /// The certificate and its chain.
        case certificate
        case key
        /// The certificates of authorities.
        case authority
        /// None of them, but OpenSSL itself.
        case library
    }

    package let part: Part
    /// A phrase that goes on after the name of the file, or of TLS as a whole. It never holds anything of a key.
    package let reason: String

    init(_ part: Part, _ reason: String) {
        self.part = part
        self.reason = reason
    }
}

/// Owns an `X509`; nothing else frees it.
@safe final class Certificate {
    let pointer: OpaquePointer

    init(adopting pointer: OpaquePointer) { unsafe self.pointer = pointer }

    deinit { unsafe X509_free(pointer) }

    /// All certificates in a PEM text, at least one; what else stands in it is passed over.
    static func readAll(in text: [UInt8], _ part: TLSProblem.Part) throws(TLSProblem) -> [Certificate] {
        OpenSSLQueue.clearErrors()
        let source = MemorySource(text)
        var found: [Certificate] = []
        while let pointer = unsafe PEM_read_bio_X509(source.pointer, nil, nil, nil) {
            unsafe found.append(Certificate(adopting: pointer))
        }
        let code = ERR_peek_last_error()
        guard ERR_GET_LIB(code) == ERR_LIB_PEM, ERR_GET_REASON(code) == PEM_R_NO_START_LINE else {
            throw TLSProblem(part, "has a certificate that cannot be read: \(OpenSSLQueue.takeWords())")
        }
        OpenSSLQueue.clearErrors()
        guard !found.isEmpty else {
            throw TLSProblem(part, "has no certificate in it: it must be PEM, with -----BEGIN CERTIFICATE-----")
        }
        return found
    }

    /// Why it cannot be used now, as a phrase; nil when its time has come and not passed.
    var untimeliness: String? {
        if unsafe X509_cmp_current_time(X509_get0_notAfter(pointer)) < 0 {
            return unsafe "expired on \(Certificate.dateText(X509_get0_notAfter(pointer)))"
        }
        if unsafe X509_cmp_current_time(X509_get0_notBefore(pointer)) > 0 {
            return unsafe "is not valid before \(Certificate.dateText(X509_get0_notBefore(pointer)))"
        }
        return nil
    }

    /// When its time passes; nil where that cannot be read.
    var notAfter: UnixTime? {
        var parts = unsafe tm()
        guard unsafe ASN1_TIME_to_tm(X509_get0_notAfter(pointer), &parts) == 1 else { return nil }
        return unsafe UnixTime(seconds: Int64(timegm(&parts)))
    }

    private static func dateText(_ time: UnsafePointer<ASN1_TIME>?) -> String {
        var parts = unsafe tm()
        guard unsafe ASN1_TIME_to_tm(time, &parts) == 1 else { return "a date that cannot be read" }
        func digits(_ number: Int32) -> String { number < 10 ? "0\(number)" : "\(number)" }
        let (year, month, day) = unsafe (parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday)
        return "\(year)-\(digits(month))-\(digits(day))"
    }

    /// The subject's names, all of them: its distinguished name and its alternative ones, in DER. Equal for two
    /// certificates only if they are of one subject.
    var subject: [UInt8] {
        var bytes: UnsafeMutablePointer<UInt8>?
        let count = unsafe Int(i2d_X509_NAME(X509_get_subject_name(pointer), &bytes))
        var names: [UInt8] = []
        if count > 0, let bytes = unsafe bytes {
            unsafe names += UnsafeBufferPointer(start: bytes, count: count)
            unsafe CRYPTO_free(bytes, "", 0)
        }
        let index = unsafe X509_get_ext_by_NID(pointer, NID_subject_alt_name, -1)
        guard index >= 0, let data = unsafe X509_EXTENSION_get_data(X509_get_ext(pointer, index)) else { return names }
        let start = unsafe ASN1_STRING_get0_data(data)
        // DER says its own length: the two cannot run into each other.
        unsafe names += UnsafeBufferPointer(start: start, count: Int(ASN1_STRING_length(data)))
        return names
    }
}

/// Owns an `EVP_PKEY`; nothing else frees it.
@safe final class PrivateKey {
    let pointer: OpaquePointer

    /// The key in a PEM text.
    init(in text: [UInt8]) throws(TLSProblem) {
        OpenSSLQueue.clearErrors()
        let source = MemorySource(text)
        // The callback: without one, OpenSSL asks at the terminal for the password of an encrypted key.
        var isEncrypted = false
        let key = unsafe withUnsafeMutablePointer(to: &isEncrypted) { flag in
            unsafe PEM_read_bio_PrivateKey(
                source.pointer, nil,
                { _, _, _, flag in
                    unsafe flag!.assumingMemoryBound(to: Bool.self).pointee = true
                    return -1
                }, flag)
        }
        guard let key = unsafe key else {
            // OpenSSL tries many decoders: the first complaint is about the text itself.
            let words = OpenSSLQueue.errorWords(for: ERR_peek_error())
            OpenSSLQueue.clearErrors()
            if isEncrypted {
                throw TLSProblem(.key, "is encrypted, and Remora cannot ask for its password: decrypt it")
            }
            guard String(decoding: text, as: UTF8.self).contains("PRIVATE KEY-----") else {
                throw TLSProblem(.key, "has no private key in it: it must be PEM, with -----BEGIN PRIVATE KEY-----")
            }
            throw TLSProblem(.key, "has no private key that can be read: \(words)")
        }
        unsafe pointer = key
    }

    deinit { unsafe EVP_PKEY_free(pointer) }
}

/// A text that OpenSSL reads from. Owns a `BIO`; nothing else frees it.
@safe private final class MemorySource {
    private let text: UnsafeMutableRawBufferPointer
    let pointer: OpaquePointer

    init(_ bytes: [UInt8]) {
        unsafe text = .allocate(byteCount: bytes.count, alignment: 1)
        unsafe text.copyBytes(from: bytes)
        guard let bio = unsafe BIO_new_mem_buf(text.baseAddress, Int32(bytes.count)) else {
            // Memory is all that it needs: an empty file is a text too, and a file is at most 1 MiB.
            preconditionFailure("BIO_new_mem_buf: out of memory")
        }
        unsafe pointer = bio
    }

    deinit {
        unsafe BIO_free(pointer)
        // It may have been a key.
        unsafe OPENSSL_cleanse(text.baseAddress, text.count)
        unsafe text.deallocate()
    }
}
